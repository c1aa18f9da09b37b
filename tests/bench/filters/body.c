// Sums every byte of both bodies as they pass: what `looker` of tests/guests does.
#include "abi.h"

static volatile u32 sum;

static void look(int buffer, u32 size) {
    char *bytes;
    u32 length, total = 0;
    top = 0;
    if (size > 0 && proxy_get_buffer_bytes(buffer, 0, size, &bytes, &length) == 0)
        for (u32 at = 0; at < length; at++) total += (u8)bytes[at];
    sum += total;
}

EXPORT(proxy_on_request_body) int on_request_body(int context, u32 size, int last) { look(REQUEST_BODY, size); return 0; }
EXPORT(proxy_on_response_body) int on_response_body(int context, u32 size, int last) { look(RESPONSE_BODY, size); return 0; }

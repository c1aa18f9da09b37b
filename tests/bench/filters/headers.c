// Reads three fields of the request and sets two: what `reader-writer` of tests/guests does.
#include "abi.h"

static u32 length_of(const char *name, u32 size) {
    char *value;
    u32 length = 0;
    return proxy_get_header_map_value(REQUEST_HEADERS, name, size, &value, &length) == 0 ? length : 0;
}

EXPORT(proxy_on_request_headers)
int on_request_headers(int context, int count, int last) {
    top = 0;
    u32 seen = length_of("user-agent", 10) + length_of("accept", 6) + length_of("x-forwarded-for", 15);
    char digits[10];
    u32 at = sizeof digits;
    do digits[--at] = '0' + seen % 10; while (seen /= 10);
    proxy_replace_header_map_value(REQUEST_HEADERS, "x-seen", 6, digits + at, sizeof digits - at);
    proxy_replace_header_map_value(REQUEST_HEADERS, "x-reader", 8, "portcullis", 10);
    return 0;
}

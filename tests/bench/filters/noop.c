// Is asked about both heads and does nothing: what `heads` of tests/guests does.
#include "abi.h"

EXPORT(proxy_on_request_headers) int on_request_headers(int context, int count, int last) { return 0; }
EXPORT(proxy_on_response_headers) int on_response_headers(int context, int count, int last) { return 0; }

// Tells browsers, in `server-timing`, how long a response took behind the proxy: what their developer tools then show.
//
// Functions with the long names are those that the contract wants; `server_timing.h` is generated from it and declares them.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "server_timing.h"

// The names that the generator makes are long.
typedef exports_portcullis_filter_filter_declaration_t declaration_t;
typedef portcullis_filter_types_request_head_t request_head_t;
typedef portcullis_filter_types_response_head_t response_head_t;
typedef portcullis_filter_types_body_end_t body_end_t;
typedef portcullis_filter_types_verdict_t verdict_t;
typedef portcullis_filter_types_field_edit_t field_edit_t;

// The contract's `exchange`: the generator declares it, and what is in it is ours.
struct exports_portcullis_filter_filter_exchange_t {
    // When the request came, by the host's clock.
    uint64_t began;
};
typedef exports_portcullis_filter_filter_exchange_t exchange_t;

#define NAME_MAX 64

// Set by `configure`, before there is any exchange.
static char name[NAME_MAX + 1] = "backend";
static char description[NAME_MAX + 1];

// Configuration

// A token, as names in `server-timing` have to be (RFC 9110, 5.6.2).
static bool is_token(const char *text) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!*text) return false;
    for (; *text; text++) {
        char c = *text;
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alphanumeric && !strchr(others, c)) return false;
    }
    return true;
}

// What fits between quotes without escapes.
static bool is_plain(const char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') return false;
    return true;
}

// Takes one key; says into `context`, a string of 128 bytes, what is wrong.
static bool take(void *context, const char *key, const char *value) {
    char *wrong = context;
    if (strcmp(key, "name") == 0) {
        if (strlen(value) <= NAME_MAX && is_token(value)) return strcpy(name, value);
        strcpy(wrong, "`name` is a word of at most 64 letters, digits and `-`, as name = \"backend\"");
    } else if (strcmp(key, "description") == 0) {
        if (strlen(value) <= NAME_MAX && is_plain(value)) return strcpy(description, value);
        strcpy(wrong, "`description` has at most 64 ASCII characters, and neither `\"` nor `\\`");
    } else {
        strcpy(wrong, "unknown key `");
        strncat(wrong, key, 32);
        strcat(wrong, "`; there are `name` and `description`");
    }
    return false;
}

bool exports_portcullis_filter_filter_configure(server_timing_string_t *config, declaration_t *declaration,
                                                server_timing_string_t *error) {
    char wrong[128] = "the values of `name` and `description` are strings";
    bool read = config_read((const char *)config->ptr, config->len, take, wrong);
    server_timing_string_free(config);
    if (!read) {
        server_timing_string_dup(error, wrong);
        return false;
    }
    declaration->phases = EXPORTS_PORTCULLIS_FILTER_FILTER_PHASES_REQUEST_HEAD | EXPORTS_PORTCULLIS_FILTER_FILTER_PHASES_RESPONSE_HEAD;
    declaration->request_body.tag = EXPORTS_PORTCULLIS_FILTER_FILTER_BODY_MODE_NONE;
    declaration->response_body.tag = EXPORTS_PORTCULLIS_FILTER_FILTER_BODY_MODE_NONE;
    return true;
}

// Exchanges

static void go_on(verdict_t *verdict) { verdict->tag = PORTCULLIS_FILTER_TYPES_VERDICT_CONTINUE; }

// What the generated code frees afterwards, it takes from the heap.
static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory) abort();
    return memory;
}

// Writes milliseconds with three digits after the point, and gives the end. Of the libc, printf would need files, which are WASI's.
static char *put_millis(char *out, uint64_t micros) {
    char digits[24];
    int count = 0;
    for (; micros || count < 4; micros /= 10) digits[count++] = (char)('0' + micros % 10);
    while (count) {
        *out++ = digits[--count];
        if (count == 3) *out++ = '.';
    }
    return out;
}

exports_portcullis_filter_filter_own_exchange_t exports_portcullis_filter_filter_constructor_exchange(void) {
    exchange_t *exchange = allocate(sizeof *exchange);
    exchange->began = 0;
    return exports_portcullis_filter_filter_exchange_new(exchange);
}

void exports_portcullis_filter_filter_exchange_destructor(exchange_t *exchange) { free(exchange); }

void exports_portcullis_filter_filter_method_exchange_request_head(exchange_t *exchange, request_head_t *head, verdict_t *verdict) {
    portcullis_filter_types_request_head_free(head);
    exchange->began = portcullis_filter_clock_monotonic();
    go_on(verdict);
}

void exports_portcullis_filter_filter_method_exchange_response_head(exchange_t *exchange, response_head_t *head, verdict_t *verdict) {
    portcullis_filter_types_response_head_free(head);
    uint64_t micros = (portcullis_filter_clock_monotonic() - exchange->began) / 1000;
    char value[2 * NAME_MAX + 64];
    char *end = stpcpy(stpcpy(value, name), ";dur=");
    end = put_millis(end, micros);
    if (*description) end = stpcpy(stpcpy(stpcpy(end, ";desc=\""), description), "\"");
    size_t length = end - value;

    memset(verdict, 0, sizeof *verdict);
    verdict->tag = PORTCULLIS_FILTER_TYPES_VERDICT_EDIT;
    field_edit_t *edit = allocate(sizeof *edit);
    edit->tag = PORTCULLIS_FILTER_TYPES_FIELD_EDIT_APPEND;
    server_timing_string_dup(&edit->val.append.name, "server-timing");
    edit->val.append.value.ptr = memcpy(allocate(length), value, length);
    edit->val.append.value.len = length;
    verdict->val.edit.fields.ptr = edit;
    verdict->val.edit.fields.len = 1;
}

// The rest is not wanted, and part of the contract.

void exports_portcullis_filter_filter_method_exchange_request_body(exchange_t *exchange, server_timing_list_u8_t *data,
                                                                   body_end_t *end, verdict_t *verdict) {
    (void)exchange;
    server_timing_list_u8_free(data);
    if (end) portcullis_filter_types_body_end_free(end);
    go_on(verdict);
}

void exports_portcullis_filter_filter_method_exchange_response_body(exchange_t *exchange, server_timing_list_u8_t *data,
                                                                    body_end_t *end, verdict_t *verdict) {
    exports_portcullis_filter_filter_method_exchange_request_body(exchange, data, end, verdict);
}

void exports_portcullis_filter_filter_method_exchange_log(exchange_t *exchange, portcullis_filter_types_summary_t *summary) {
    (void)exchange;
    portcullis_filter_types_summary_free(summary);
}

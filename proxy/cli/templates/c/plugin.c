// {{description}}.
//
// Functions with the long names are those that the contract wants; `{{snake}}.h` is generated from it and declares them.

#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "{{snake}}.h"

// The names that the generator makes are long.
typedef exports_portcullis_filter_filter_declaration_t declaration_t;
typedef portcullis_filter_types_request_head_t request_head_t;
typedef portcullis_filter_types_response_head_t response_head_t;
typedef portcullis_filter_types_body_end_t body_end_t;
typedef portcullis_filter_types_verdict_t verdict_t;
typedef portcullis_filter_types_field_edit_t field_edit_t;

// The contract's `exchange`: the generator declares it, and what is in it is ours. Nothing is kept from one phase to the next yet.
struct exports_portcullis_filter_filter_exchange_t {
    char nothing;
};
typedef exports_portcullis_filter_filter_exchange_t exchange_t;

#define GREETING_MAX 256

// Set by `configure`, before there is any exchange.
static char greeting[GREETING_MAX + 1] = "hello";

// Configuration

// Takes one key of the plugin's table; says into `context` what is wrong.
static bool take(void *context, const char *key, const char *value) {
    const char **wrong = context;
    if (strcmp(key, "greeting") != 0) {
        *wrong = "there is an unknown key; there is `greeting`";
        return false;
    }
    if (!*value || strlen(value) > GREETING_MAX || strpbrk(value, "\r\n")) {
        *wrong = "`greeting` is one line of at most 256 bytes, such as \"hello\"";
        return false;
    }
    strcpy(greeting, value);
    return true;
}

bool exports_portcullis_filter_filter_configure({{snake}}_string_t *config, declaration_t *declaration, {{snake}}_string_t *error) {
    const char *wrong = "the value of `greeting` is a string";
    bool read = config_read((const char *)config->ptr, config->len, take, &wrong);
    {{snake}}_string_free(config);
    if (!read) {
        {{snake}}_string_dup(error, wrong);
        return false;
    }
    declaration->phases = EXPORTS_PORTCULLIS_FILTER_FILTER_PHASES_REQUEST_HEAD;
    declaration->request_body.tag = EXPORTS_PORTCULLIS_FILTER_FILTER_BODY_MODE_NONE;
    declaration->response_body.tag = EXPORTS_PORTCULLIS_FILTER_FILTER_BODY_MODE_NONE;
    return true;
}

// Exchanges

// What the generated code frees afterwards, it takes from the heap.
static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (!memory) abort();
    return memory;
}

exports_portcullis_filter_filter_own_exchange_t exports_portcullis_filter_filter_constructor_exchange(void) {
    return exports_portcullis_filter_filter_exchange_new(allocate(sizeof(exchange_t)));
}

void exports_portcullis_filter_filter_exchange_destructor(exchange_t *exchange) { free(exchange); }

void exports_portcullis_filter_filter_method_exchange_request_head(exchange_t *exchange, request_head_t *head, verdict_t *verdict) {
    (void)exchange;
    portcullis_filter_types_request_head_free(head);
    memset(verdict, 0, sizeof *verdict);
    verdict->tag = PORTCULLIS_FILTER_TYPES_VERDICT_EDIT;
    field_edit_t *edit = allocate(sizeof *edit);
    edit->tag = PORTCULLIS_FILTER_TYPES_FIELD_EDIT_SET;
    {{snake}}_string_dup(&edit->val.set.name, "{{field}}");
    edit->val.set.value.len = strlen(greeting);
    edit->val.set.value.ptr = memcpy(allocate(strlen(greeting)), greeting, strlen(greeting));
    verdict->val.edit.fields.ptr = edit;
    verdict->val.edit.fields.len = 1;
}

// Phases that `configure` does not declare never come, and are part of the contract.

static void go_on(verdict_t *verdict) { verdict->tag = PORTCULLIS_FILTER_TYPES_VERDICT_CONTINUE; }

void exports_portcullis_filter_filter_method_exchange_request_body(exchange_t *exchange, {{snake}}_list_u8_t *data, body_end_t *end,
                                                                   verdict_t *verdict) {
    (void)exchange;
    {{snake}}_list_u8_free(data);
    if (end) portcullis_filter_types_body_end_free(end);
    go_on(verdict);
}

void exports_portcullis_filter_filter_method_exchange_response_head(exchange_t *exchange, response_head_t *head, verdict_t *verdict) {
    (void)exchange;
    portcullis_filter_types_response_head_free(head);
    go_on(verdict);
}

void exports_portcullis_filter_filter_method_exchange_response_body(exchange_t *exchange, {{snake}}_list_u8_t *data, body_end_t *end,
                                                                    verdict_t *verdict) {
    exports_portcullis_filter_filter_method_exchange_request_body(exchange, data, end, verdict);
}

void exports_portcullis_filter_filter_method_exchange_log(exchange_t *exchange, portcullis_filter_types_summary_t *summary) {
    (void)exchange;
    portcullis_filter_types_summary_free(summary);
}

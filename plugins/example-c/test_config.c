// Run with `cc -Wall -Wextra -fsanitize=address,undefined -o /tmp/test test_config.c config.c && /tmp/test`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static int failed;

// Joins what comes: "key=value;".
static bool join(void *context, const char *key, const char *value) {
    char *joined = context;
    sprintf(joined + strlen(joined), "%s=%s;", key, value);
    return strcmp(key, "stop") != 0;
}

// From memory of exactly that length, so that a byte read beyond it is found.
static void expect(const char *json, const char *wanted) {
    char joined[256] = "";
    size_t length = strlen(json);
    char *copy = malloc(length ? length : 1);
    memcpy(copy, json, length);
    bool read = config_read(copy, length, join, joined);
    free(copy);
    if (read != (wanted != NULL) || (wanted && strcmp(joined, wanted) != 0)) {
        printf("%s: %s %s\n", json, read ? "read as" : "refused after", joined);
        failed++;
    }
}

int main(void) {
    expect("{}", "");
    expect(" { } \n", "");
    expect("{\"a\":\"b\"}", "a=b;");
    expect(" {\t\"a\" : \"b\" ,\r\n\"c\":\"\"}", "a=b;c=;");
    expect("{\"a\":\"\\\"\\\\\\/\\n\\t\"}", "a=\"\\/\n\t;");
    expect("{\"a\":\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"}", "a=A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80;");
    expect("{\"\xC3\xA9\":\"\xC3\xA9\"}", "\xC3\xA9=\xC3\xA9;");
    const char *wrong[] = {
        "", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":\"b\"", "{\"a\":\"b\",", "{\"a\":\"b\",}", "{,}", "[]", "{}{}", "{} x",
        "{\"a\":1}", "{\"a\":true}", "{\"a\":null}", "{\"a\":{}}", "{\"a\":[\"b\"]}", "{a:\"b\"}", "{\"a\" \"b\"}", "{\"a\":\"b\" \"c\":\"d\"}",
        "{\"a\":\"\\", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\u12", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}", "{\"a\":\"\n\"}", "{\"stop\":\"x\",\"a\":\"b\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) expect(wrong[i], NULL);
    if (!failed) puts("all as expected");
    return failed != 0;
}

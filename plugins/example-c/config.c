#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *at, *end;
    // Strings without their escapes, which only make them shorter: as long as the text is enough for all.
    char *out;
};

static void skip_space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

// Takes the character `c`, after space, if it comes next.
static bool take_char(struct reader *r, char c) {
    skip_space(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

// Four hexadecimal digits, or -1.
static int32_t take_hex(struct reader *r) {
    int32_t value = 0;
    if (r->end - r->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int32_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

// What follows \u, written as UTF-8. Characters beyond 16 bits come as two.
static bool take_unicode(struct reader *r) {
    int32_t c = take_hex(r);
    if (c <= 0 || (c >= 0xDC00 && c <= 0xDFFF)) return false;
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') return false;
        r->at += 2;
        int32_t low = take_hex(r);
        if (low < 0xDC00 || low > 0xDFFF) return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    if (c < 0x80) {
        *r->out++ = (char)c;
    } else if (c < 0x800) {
        *r->out++ = (char)(0xC0 | c >> 6);
        *r->out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *r->out++ = (char)(0xE0 | c >> 12);
        *r->out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *r->out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *r->out++ = (char)(0xF0 | c >> 18);
        *r->out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *r->out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *r->out++ = (char)(0x80 | (c & 0x3F));
    }
    return true;
}

// A string, after space; NULL if there is none.
static const char *take_string(struct reader *r) {
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *begin = r->out;
    if (!take_char(r, '"')) return NULL;
    while (r->at < r->end) {
        char c = *r->at++;
        if (c == '"') {
            *r->out++ = 0;
            return begin;
        }
        if ((unsigned char)c < ' ') return NULL;
        if (c != '\\') {
            *r->out++ = c;
            continue;
        }
        if (r->at == r->end) return NULL;
        c = *r->at++;
        if (c == 'u') {
            if (!take_unicode(r)) return NULL;
            continue;
        }
        const char *found = c ? strchr(escapes, c) : NULL;
        if (!found) return NULL;
        *r->out++ = meant[found - escapes];
    }
    return NULL;
}

static bool read_object(struct reader *r, config_take take, void *context) {
    if (!take_char(r, '{')) return false;
    if (!take_char(r, '}')) {
        do {
            const char *key = take_string(r);
            if (!key || !take_char(r, ':')) return false;
            const char *value = take_string(r);
            if (!value || !take(context, key, value)) return false;
        } while (take_char(r, ','));
        if (!take_char(r, '}')) return false;
    }
    skip_space(r);
    return r->at == r->end;
}

bool config_read(const char *json, size_t length, config_take take, void *context) {
    char *strings = malloc(length + 1);
    if (!strings) return false;
    struct reader reader = {json, json + length, strings};
    bool read = read_object(&reader, take, context);
    free(strings);
    return read;
}

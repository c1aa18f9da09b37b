// What these filters use of proxy-wasm 0.2.1, and no more. No libc: what the host hands over goes into an arena, which each callback
// empties first.
#pragma once

typedef unsigned int u32;
typedef unsigned char u8;

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1 };

IMPORT(proxy_get_header_map_value)
int proxy_get_header_map_value(int map, const char *key, u32 key_size, char **value, u32 *value_size);
IMPORT(proxy_replace_header_map_value)
int proxy_replace_header_map_value(int map, const char *key, u32 key_size, const char *value, u32 value_size);
IMPORT(proxy_get_buffer_bytes)
int proxy_get_buffer_bytes(int buffer, u32 offset, u32 max, char **bytes, u32 *size);

static u8 arena[1 << 20];
static u32 top;

EXPORT(proxy_on_memory_allocate)
void *on_memory_allocate(u32 size) {
    u32 at = top;
    if (size > sizeof arena - at) __builtin_trap();
    top = (at + size + 15) & ~15u;
    return arena + at;
}

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}
EXPORT(_initialize) void initialize(void) {}
EXPORT(proxy_on_context_create) void on_context_create(int context, int parent) {}
EXPORT(proxy_on_vm_start) int on_vm_start(int context, int size) { return 1; }
EXPORT(proxy_on_configure) int on_configure(int context, int size) { return 1; }
EXPORT(proxy_on_done) int on_done(int context) { return 1; }
EXPORT(proxy_on_log) void on_log(int context) {}
EXPORT(proxy_on_delete) void on_delete(int context) {}

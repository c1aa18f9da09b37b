// Reads the configuration of a plugin whose keys all have strings: {"name": "edge", "description": "..."}.
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>

// Called with each key and its value, both ended by NUL and valid during the call. False ends the reading.
typedef bool (*config_take)(void *context, const char *key, const char *value);

// Reads `json`, one object of strings in UTF-8, and gives every entry to `take`, in order. False if it is none, if a string has a
// NUL inside, or if `take` said so. Allocates nothing that outlives the call.
bool config_read(const char *json, size_t length, config_take take, void *context);

#endif

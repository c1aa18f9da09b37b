"""PCRE2 as a peer: reads patterns and values, writes where the groups of the first match lie.

Input, a line each: `P <flags> <hex>` sets the pattern, `V <hex>` asks. Output: for a pattern `ok` or `error <message>`, for a
value `-`, `limit`, or `start,end` of groups 0 to 9, `.` for a group that took no part.
"""
import ctypes
import sys

UNSET = ctypes.c_size_t(-1).value


def library():
    for name in ("libpcre2-8.so.0", "libpcre2-8.dylib", "libpcre2-8.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    sys.exit(77)


def main():
    pcre = library()
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    pcre.pcre2_compile_8.restype = pointer
    pcre.pcre2_compile_8.argtypes = [
        ctypes.c_char_p, size, ctypes.c_uint32, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(size), pointer]
    pcre.pcre2_match_data_create_8.restype = pointer
    pcre.pcre2_match_data_create_8.argtypes = [ctypes.c_uint32, pointer]
    pcre.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(size)
    pcre.pcre2_get_ovector_pointer_8.argtypes = [pointer]
    pcre.pcre2_match_8.argtypes = [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer]
    pcre.pcre2_code_free_8.argtypes = [pointer]
    pcre.pcre2_get_error_message_8.argtypes = [ctypes.c_int, ctypes.c_char_p, size]
    data = pcre.pcre2_match_data_create_8(10, None)
    code = None
    out = []
    for line in sys.stdin:
        word, *rest = line.rstrip("\n").split(" ")
        if word == "P":
            if code:
                pcre.pcre2_code_free_8(code)
            source = bytes.fromhex(rest[1])
            error, offset = ctypes.c_int(), size()
            code = pcre.pcre2_compile_8(
                source, len(source), int(rest[0]), ctypes.byref(error), ctypes.byref(offset), None)
            if code:
                out.append("ok")
            else:
                text = ctypes.create_string_buffer(256)
                pcre.pcre2_get_error_message_8(error, text, 256)
                out.append("error " + text.value.decode())
        else:
            value = bytes.fromhex(rest[0])
            if not code:
                out.append("none")
                continue
            count = pcre.pcre2_match_8(code, value, len(value), 0, 0, data, None)
            if count == -1:
                out.append("-")
            elif count < 0:
                out.append("limit")
            else:
                ends = pcre.pcre2_get_ovector_pointer_8(data)
                # 0 stands for more groups than there is room for.
                count = count or 10
                out.append(" ".join(
                    "." if ends[2 * i] == UNSET else f"{ends[2 * i]},{ends[2 * i + 1]}" for i in range(count)))
    print("\n".join(out))


main()

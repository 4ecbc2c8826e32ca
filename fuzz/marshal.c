/* What CPython's Python/marshal.c insists on, of the codes that psqlpy writes. */

#include "fuzz.h"

#define DEEPEST 16 /* an array's six dimensions, a row, a column, a multirange, a range, and some */

static uint32_t
read_uint32(const uint8_t *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 | (uint32_t) at[3] << 24;
}

/* Written apart from the one in stream.c: by the code points that come out. */
static void
check_utf8(const uint8_t *at, const uint8_t *end)
{
    static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};

    while (at < end) {
        uint32_t point = *at++;
        int more = point < 0x80 ? 0 : (point & 0xe0) == 0xc0 ? 1 : (point & 0xf0) == 0xe0 ? 2 : 3;

        INSIST(point < 0x80 || (point >= 0xc0 && point < 0xf8));
        if (more > 0)
            point &= 0x3f >> more;
        INSIST(end - at >= more);
        for (int i = 0; i < more; i++) {
            INSIST((*at & 0xc0) == 0x80);
            point = point << 6 | (*at++ & 0x3f);
        }
        INSIST(point >= lowest[more] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff));
    }
}

static const uint8_t *
check_long(const uint8_t *at, const uint8_t *end)
{
    int32_t count;

    INSIST(end - at >= 4);
    count = (int32_t) read_uint32(at);
    INSIST(count >= -5 && count <= 5);
    count = count < 0 ? -count : count;
    at += 4;
    INSIST(end - at >= 2 * count);
    for (int i = 0; i < count; i++)
        INSIST(at[2 * i + 1] < 0x80);
    INSIST(count == 0 || at[2 * count - 2] != 0 || at[2 * count - 1] != 0);
    return at + 2 * count;
}

static const uint8_t *
check_string(int code, const uint8_t *at, const uint8_t *end)
{
    uint32_t size;

    INSIST(end - at >= (code == 'z' ? 1 : 4));
    size = code == 'z' ? *at : read_uint32(at);
    at += code == 'z' ? 1 : 4;
    INSIST(size <= INT32_MAX && (size_t) (end - at) >= size);
    if (code == 'u')
        check_utf8(at, at + size);
    if (code == 'a' || code == 'z')
        for (uint32_t i = 0; i < size; i++)
            INSIST(at[i] < 0x80);
    return at + size;
}

static const uint8_t *check_object(const uint8_t *at, const uint8_t *end, int depth);

static const uint8_t *
check_items(int code, const uint8_t *at, const uint8_t *end, int depth)
{
    uint32_t count;

    INSIST(end - at >= (code == ')' ? 1 : 4));
    count = code == ')' ? *at : read_uint32(at);
    at += code == ')' ? 1 : 4;
    /* Python makes the list before it reads what is in it. */
    INSIST((size_t) (end - at) >= count);
    for (uint32_t i = 0; i < count; i++)
        at = check_object(at, end, depth + 1);
    return at;
}

static const uint8_t *
check_object(const uint8_t *at, const uint8_t *end, int depth)
{
    int code;

    INSIST(at < end && depth <= DEEPEST);
    code = *at++;
    switch (code) {
    case 'N':
    case '.':
    case 'T':
    case 'F':
        return at;
    case 'i':
        INSIST(end - at >= 4);
        return at + 4;
    case 'g':
        INSIST(end - at >= 8);
        return at + 8;
    case 'l':
        return check_long(at, end);
    case 's':
    case 'u':
    case 'a':
    case 'z':
        return check_string(code, at, end);
    case ')':
    case '(':
    case '[':
        return check_items(code, at, end, depth);
    default:
        INSIST(!"a code that psqlpy writes");
        return end;
    }
}

const uint8_t *
fuzz_check_marshal(const uint8_t *at, const uint8_t *end)
{
    return check_object(at, end, 0);
}

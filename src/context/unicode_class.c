/* SPDX-License-Identifier: MIT
 *
 * From bytes to the class of a character.
 */
#include "unicode_class.h"

#define SP CLASS_BIT(CLASS_SPACE)
#define NL CLASS_BIT(CLASS_NEWLINE)
#define NO CLASS_BIT(CLASS_NUMBER)
#define UP CLASS_BIT(CLASS_UPPER)
#define LO CLASS_BIT(CLASS_LOWER)
#define OT CLASS_BIT(CLASS_OTHER)

/* clang-format off */
const uint8_t context__ascii_bits[128] = {
    OT, OT, OT, OT, OT, OT, OT, OT, OT, SP, NL, SP, SP, NL, OT, OT,
    OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT,
    SP, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT, OT,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, OT, OT, OT, OT, OT, OT,
    OT, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP,
    UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, UP, OT, OT, OT, OT, OT,
    OT, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO,
    LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, LO, OT, OT, OT, OT, OT,
};
/* clang-format on */

static unsigned class_bit(uint32_t code);

struct unit context__unit_beyond_ascii(const unsigned char *p, size_t len)
{
    const uint32_t lead = p[0];
    /* RFC 3629: the second byte's range excludes overlong forms, surrogates and > U+10FFFF. */
    if (lead >= 0xC2 && lead <= 0xDF && len >= 2 && (p[1] & 0xC0) == 0x80) {
        return (struct unit){ class_bit((lead & 0x1F) << 6 | (p[1] & 0x3Fu)), 2 };
    }
    if ((lead & 0xF0) == 0xE0 && len >= 3 && (p[1] & 0xC0) == 0x80 && (p[2] & 0xC0) == 0x80) {
        const uint32_t code = (lead & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        if (code >= 0x800 && (code & 0xF800) != 0xD800) {
            return (struct unit){ class_bit(code), 3 };
        }
    }
    if (lead >= 0xF0 && lead <= 0xF4 && len >= 4 && (p[1] & 0xC0) == 0x80 &&
        (p[2] & 0xC0) == 0x80 && (p[3] & 0xC0) == 0x80) {
        const uint32_t code =
            (lead & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
        if (code >= 0x10000 && code <= 0x10FFFF) {
            return (struct unit){ class_bit(code), 4 };
        }
    }
    return (struct unit){ CLASS_BIT(CLASS_OTHER), 1 };
}

static unsigned class_bit(uint32_t code)
{
    const uint32_t block = code / UNICODE_BLOCK;
    if (block >= UNICODE_INDEX_COUNT) {
        return CLASS_BIT(CLASS_OTHER);
    }
    const unsigned pair =
        context__unicode_blocks[context__unicode_index[block]][code % UNICODE_BLOCK / 2];
    return CLASS_BIT(pair >> (code % 2 * 4) & 0x0F);
}

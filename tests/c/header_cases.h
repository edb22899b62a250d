/* header_cases.h - headers with a pinned verdict, by class of attack, both sides of each limit. Used by test_header.c
 * and, against the reference library, by tests/conformance. Part of the tests.
 *
 * The JSON is written with ' for the double quote and ^ for the single one; @N(text) is the text N times. */
#ifndef HEADER_CASES_H
#define HEADER_CASES_H

#include <stddef.h>
#include <stdint.h>

typedef enum case_verdict {
    TAKEN,   /* by both */
    REFUSED, /* by both */
    STRICTER /* refused by stlua alone, for a documented reason */
} case_verdict;

typedef enum case_length { EXACT, DELTA, ABSOLUTE } case_length;

typedef struct header_case {
    int group; /* the number of the class, as below */
    case_verdict verdict;
    const char *why;
    const char *json;
    size_t json_len;
    unsigned data;      /* bytes behind the header */
    case_length length; /* what the 8 length bytes say: the truth, the truth + value, value */
    uint64_t value;
} header_case;

/* clang-format off */
#define CASE(g, v, why, json, data) {g, v, why, json, sizeof json - 1, data, EXACT, 0},
#define LENGTH(v, why, json, data, how, value) {1, v, why, json, sizeof json - 1, data, how, (uint64_t)(value)},

/* A description; a file with one tensor "a"; one with an extra field; two tensors. */
#define D(dtype, shape, offsets) "{'dtype':'" dtype "','shape':[" shape "],'data_offsets':[" offsets "]}"
#define ONE(dtype, shape, offsets) "{'a':" D(dtype, shape, offsets) "}"
#define EXTRA(value) "{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'x':" value "}}"
#define TWO(d1, d2) "{'a':" d1 ",'b':" d2 "}"
#define NAMED(name) "{" name ":" D("U8", "0", "0,0") "}"
#define META(value) "{'__metadata__':" value "}"
#define U8(n) D("U8", #n, "0," #n)

static const header_case header_cases[] = {
    /* 1: the length in front */
    LENGTH(TAKEN, "smallest: {}", "{}", 0, EXACT, 0)
    LENGTH(REFUSED, "length 0", "{}", 0, ABSOLUTE, 0)
    LENGTH(REFUSED, "length 1", "{}", 0, ABSOLUTE, 1)
    LENGTH(REFUSED, "one less: cut text, spare byte", "{} ", 0, DELTA, -2)
    LENGTH(REFUSED, "one less: a byte of data too many", "{} ", 0, DELTA, -1)
    LENGTH(REFUSED, "one more than the file has", "{}", 0, DELTA, 1)
    LENGTH(REFUSED, "eight more", "{}", 0, DELTA, 8)
    LENGTH(REFUSED, "includes the data", ONE("U8", "4", "0,4"), 4, DELTA, 4)
    LENGTH(REFUSED, "at the cap, small file", "{}", 0, ABSOLUTE, 100000000)
    LENGTH(REFUSED, "above the cap, small file", "{}", 0, ABSOLUTE, 100000001)
    LENGTH(REFUSED, "2^31", "{}", 0, ABSOLUTE, 2147483648)
    LENGTH(REFUSED, "2^32 + 2: right in the low half", "{}", 0, ABSOLUTE, 4294967298)
    LENGTH(REFUSED, "2^63", "{}", 0, ABSOLUTE, 0x8000000000000000)
    LENGTH(REFUSED, "-1", "{}", 0, ABSOLUTE, 0xffffffffffffffff)
    LENGTH(REFUSED, "-8: wraps to 0 when 8 is added", "{}", 0, ABSOLUTE, 0xfffffffffffffff8)
    LENGTH(REFUSED, "-6: wraps to 2", "{}", 0, ABSOLUTE, 0xfffffffffffffffa)
    LENGTH(REFUSED, "big-endian", "{}", 0, ABSOLUTE, 0x0200000000000000)
    LENGTH(REFUSED, "length bytes and no text", "", 0, ABSOLUTE, 2)
    LENGTH(REFUSED, "empty text", "", 0, EXACT, 0)

    /* 2: encoding */
    CASE(2, TAKEN, "two-byte character", NAMED("'\xc3\xa9'"), 0)
    CASE(2, TAKEN, "three-byte character", NAMED("'\xe2\x82\xac'"), 0)
    CASE(2, TAKEN, "four-byte character", NAMED("'\xf0\x9f\x98\x80'"), 0)
    CASE(2, TAKEN, "U+10FFFF", NAMED("'\xf4\x8f\xbf\xbf'"), 0)
    CASE(2, REFUSED, "U+110000", NAMED("'\xf4\x90\x80\x80'"), 0)
    CASE(2, TAKEN, "U+FFFF", NAMED("'\xef\xbf\xbf'"), 0)
    CASE(2, TAKEN, "U+D7FF", NAMED("'\xed\x9f\xbf'"), 0)
    CASE(2, REFUSED, "encoded surrogate U+D800", NAMED("'\xed\xa0\x80'"), 0)
    CASE(2, REFUSED, "encoded surrogate U+DFFF", NAMED("'\xed\xbf\xbf'"), 0)
    CASE(2, TAKEN, "U+E000", NAMED("'\xee\x80\x80'"), 0)
    CASE(2, REFUSED, "overlong slash, two bytes", NAMED("'\xc0\xaf'"), 0)
    CASE(2, REFUSED, "overlong NUL", NAMED("'\xc0\x80'"), 0)
    CASE(2, REFUSED, "overlong, three bytes", NAMED("'\xe0\x80\xaf'"), 0)
    CASE(2, TAKEN, "U+0800, the first of three bytes", NAMED("'\xe0\xa0\x80'"), 0)
    CASE(2, REFUSED, "overlong, four bytes", NAMED("'\xf0\x80\x80\xaf'"), 0)
    CASE(2, TAKEN, "U+10000, the first of four bytes", NAMED("'\xf0\x90\x80\x80'"), 0)
    CASE(2, REFUSED, "a lone continuation byte", NAMED("'\x80'"), 0)
    CASE(2, REFUSED, "byte 0xff", NAMED("'\xff'"), 0)
    CASE(2, REFUSED, "byte 0xfe", NAMED("'\xfe'"), 0)
    CASE(2, REFUSED, "five-byte form", NAMED("'\xf8\x88\x80\x80\x80'"), 0)
    CASE(2, REFUSED, "cut two-byte character", NAMED("'\xc3'"), 0)
    CASE(2, REFUSED, "cut four-byte character", NAMED("'\xf0\x9f\x98'"), 0)
    CASE(2, REFUSED, "cut at the end of the text", "{}\xe2\x82", 0)
    CASE(2, REFUSED, "Latin-1", NAMED("'\xe9'"), 0)
    CASE(2, REFUSED, "bad UTF-8 in a field that is ignored", EXTRA("'\xff'"), 0)
    CASE(2, REFUSED, "bad UTF-8 in metadata", META("{'k':'\xff'}"), 0)
    CASE(2, REFUSED, "byte order mark", "\xef\xbb\xbf{}", 0)
    CASE(2, REFUSED, "UTF-16", "{\0}\0", 0)
    CASE(2, TAKEN, "padding: blanks behind", "{}      ", 0)
    CASE(2, TAKEN, "padding: line ends and tabs behind", "{}\n\r\t ", 0)
    CASE(2, TAKEN, "white space in front", " \n\t\r{}", 0)
    CASE(2, REFUSED, "NUL padding", "{}\0\0\0\0\0\0", 0)
    CASE(2, REFUSED, "NUL in front", "\0{}", 0)
    CASE(2, REFUSED, "no-break space behind", "{}\xc2\xa0", 0)
    CASE(2, REFUSED, "form feed behind", "{}\f", 0)
    CASE(2, REFUSED, "vertical tab in front", "\v{}", 0)
    CASE(2, REFUSED, "text behind", "{}x", 0)
    CASE(2, REFUSED, "a second document", "{}{}", 0)
    CASE(2, REFUSED, "a second document on its line", "{}\n{}", 0)
    CASE(2, REFUSED, "a comma behind", "{},", 0)
    CASE(2, REFUSED, "only blanks", "        ", 0)

    /* 3: dialects of JSON */
    CASE(3, REFUSED, "comment", "{/**/}", 0)
    CASE(3, REFUSED, "line comment", "{}//", 0)
    CASE(3, REFUSED, "hash comment", "#\n{}", 0)
    CASE(3, REFUSED, "single quotes", "{^a^:" D("U8", "0", "0,0") "}", 0)
    CASE(3, REFUSED, "bare key", "{a:" D("U8", "0", "0,0") "}", 0)
    CASE(3, REFUSED, "comma before the first", "{,'a':" D("U8", "0", "0,0") "}", 0)
    CASE(3, REFUSED, "comma behind the last", "{'a':" D("U8", "0", "0,0") ",}", 0)
    CASE(3, REFUSED, "comma alone", "{,}", 0)
    CASE(3, REFUSED, "two commas", "{'a':" U8(0) ",,'b':" U8(0) "}", 0)
    CASE(3, REFUSED, "no comma", "{'a':" U8(0) "'b':" U8(0) "}", 0)
    CASE(3, REFUSED, "comma in shape", ONE("U8", "0,", "0,0"), 0)
    CASE(3, REFUSED, "comma first in shape", ONE("U8", ",0", "0,0"), 0)
    CASE(3, REFUSED, "comma in an ignored array", EXTRA("[1,]"), 0)
    CASE(3, REFUSED, "no colon", "{'a'" U8(0) "}", 0)
    CASE(3, REFUSED, "two colons", "{'a'::" U8(0) "}", 0)
    CASE(3, REFUSED, "equals sign", "{'a'=" U8(0) "}", 0)
    CASE(3, REFUSED, "key without value", "{'a'}", 0)
    CASE(3, REFUSED, "key and colon without value", "{'a':}", 0)
    CASE(3, REFUSED, "unclosed object", "{", 0)
    CASE(3, REFUSED, "unclosed tensor", "{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}", 0)
    CASE(3, REFUSED, "unclosed array", "{'a':{'dtype':'U8','shape':[0", 0)
    CASE(3, REFUSED, "unclosed string", "{'a", 0)
    CASE(3, REFUSED, "closed twice", "{}}", 0)
    CASE(3, REFUSED, "closed by the wrong bracket", "{'a':" U8(0) "]", 0)
    CASE(3, REFUSED, "shape closed by a brace", "{'a':{'dtype':'U8','shape':[0},'data_offsets':[0,0]}}", 0)
    CASE(3, REFUSED, "the document is an array", "[]", 0)
    CASE(3, REFUSED, "the document is a string", "'{}'", 0)
    CASE(3, REFUSED, "the document is null", "null", 0)
    CASE(3, REFUSED, "the document is a number", "12345678", 0)
    CASE(3, REFUSED, "True in an ignored field", EXTRA("True"), 0)
    CASE(3, REFUSED, "undefined in an ignored field", EXTRA("undefined"), 0)
    CASE(3, REFUSED, "NaN in an ignored field", EXTRA("NaN"), 0)
    CASE(3, REFUSED, "Infinity in an ignored field", EXTRA("-Infinity"), 0)
    CASE(3, REFUSED, "a cut literal", EXTRA("tru"), 0)
    CASE(3, REFUSED, "a literal with a tail", EXTRA("nullx"), 0)
    CASE(3, TAKEN, "literals in ignored fields", EXTRA("[true,false,null]"), 0)
    CASE(3, REFUSED, "key is a number", "{1:" U8(0) "}", 0)
    CASE(3, REFUSED, "key is null", "{null:" U8(0) "}", 0)
    CASE(3, TAKEN, "white space everywhere",
         " { 'a' : { 'dtype' : 'U8' , 'shape' : [ 0 ] , 'data_offsets' : [ 0 , 0 ] } } ", 0)

    /* 4: spellings of numbers */
    CASE(4, REFUSED, "shape -1", ONE("U8", "-1", "0,0"), 0)
    CASE(4, REFUSED, "shape -0", ONE("U8", "-0", "0,0"), 0)
    CASE(4, REFUSED, "shape +1", ONE("U8", "+1", "0,1"), 1)
    CASE(4, REFUSED, "shape 01", ONE("U8", "01", "0,1"), 1)
    CASE(4, REFUSED, "shape 00", ONE("U8", "00", "0,0"), 0)
    CASE(4, REFUSED, "shape 1.0", ONE("U8", "1.0", "0,1"), 1)
    CASE(4, REFUSED, "shape 1e0", ONE("U8", "1e0", "0,1"), 1)
    CASE(4, REFUSED, "shape 1E0", ONE("U8", "1E0", "0,1"), 1)
    CASE(4, REFUSED, "shape 0x1", ONE("U8", "0x1", "0,1"), 1)
    CASE(4, REFUSED, "shape .1", ONE("U8", ".1", "0,1"), 1)
    CASE(4, REFUSED, "shape 1.", ONE("U8", "1.", "0,1"), 1)
    CASE(4, REFUSED, "shape '1'", ONE("U8", "'1'", "0,1"), 1)
    CASE(4, REFUSED, "shape true", ONE("U8", "true", "0,1"), 1)
    CASE(4, REFUSED, "shape null", ONE("U8", "null", "0,0"), 0)
    CASE(4, REFUSED, "shape 1_0", ONE("U8", "1_0", "0,10"), 10)
    CASE(4, REFUSED, "shape in Arabic digits", ONE("U8", "\xd9\xa1", "0,1"), 1)
    CASE(4, REFUSED, "offset -1", ONE("U8", "1", "-1,0"), 1)
    CASE(4, REFUSED, "offset -0", ONE("U8", "1", "-0,1"), 1)
    CASE(4, REFUSED, "offset 1.0", ONE("U8", "1", "0,1.0"), 1)
    CASE(4, REFUSED, "offset 1e0", ONE("U8", "1", "0,1e0"), 1)
    CASE(4, REFUSED, "offset 01", ONE("U8", "1", "0,01"), 1)
    CASE(4, REFUSED, "offset '1'", ONE("U8", "1", "0,'1'"), 1)
    CASE(4, REFUSED, "offset null", ONE("U8", "1", "null,1"), 1)
    CASE(4, REFUSED, "offset 2^64", ONE("U8", "0", "0,18446744073709551616"), 0)
    CASE(4, REFUSED, "offset 2^64 - 1", ONE("U8", "0", "0,18446744073709551615"), 0)
    CASE(4, TAKEN, "shape 2^53 + 1 beside a zero", ONE("U8", "0,9007199254740993", "0,0"), 0)
    CASE(4, TAKEN, "shape 2^63 - 1 beside a zero", ONE("U8", "0,9223372036854775807", "0,0"), 0)
    CASE(4, STRICTER, "shape 2^63 beside a zero", ONE("U8", "0,9223372036854775808", "0,0"), 0)
    CASE(4, STRICTER, "shape 2^64 - 1 beside a zero", ONE("U8", "0,18446744073709551615", "0,0"), 0)
    CASE(4, REFUSED, "shape 2^64 beside a zero", ONE("U8", "0,18446744073709551616", "0,0"), 0)
    CASE(4, REFUSED, "shape of 30 digits beside a zero", ONE("U8", "0,@30(1)", "0,0"), 0)
    CASE(4, TAKEN, "ignored -0", EXTRA("-0"), 0)
    CASE(4, TAKEN, "ignored -1.5e-3", EXTRA("-1.5e-3"), 0)
    CASE(4, TAKEN, "ignored 1E+2", EXTRA("1E+2"), 0)
    CASE(4, REFUSED, "ignored 01", EXTRA("01"), 0)
    CASE(4, REFUSED, "ignored -", EXTRA("-"), 0)
    CASE(4, REFUSED, "ignored 1.", EXTRA("1."), 0)
    CASE(4, REFUSED, "ignored .5", EXTRA(".5"), 0)
    CASE(4, REFUSED, "ignored 1e", EXTRA("1e"), 0)
    CASE(4, REFUSED, "ignored 1e+", EXTRA("1e+"), 0)
    CASE(4, TAKEN, "ignored 1e308", EXTRA("1e308"), 0)
    CASE(4, REFUSED, "ignored 1e309 overflows a double", EXTRA("1e309"), 0)
    CASE(4, REFUSED, "ignored -1e309", EXTRA("-1e309"), 0)
    CASE(4, TAKEN, "ignored 1e-999 rounds to zero", EXTRA("1e-999"), 0)
    CASE(4, TAKEN, "ignored 0e999", EXTRA("0e999"), 0)
    CASE(4, TAKEN, "ignored 0.0e99999999999", EXTRA("0.0e99999999999"), 0)
    CASE(4, REFUSED, "ignored 1e99999999999", EXTRA("1e99999999999"), 0)
    CASE(4, TAKEN, "ignored 1.797..e308, the largest double", EXTRA("17976931348623157e292"), 0)
    CASE(4, REFUSED, "ignored, just above the largest double", EXTRA("17976931348623159e292"), 0)
    CASE(4, TAKEN, "ignored integer of 308 digits", EXTRA("@308(1)"), 0)
    CASE(4, REFUSED, "ignored integer of 310 digits", EXTRA("@310(1)"), 0)
    CASE(4, TAKEN, "ignored fraction of 400 digits", EXTRA("0.@400(1)"), 0)
    CASE(4, TAKEN, "ignored 2^64", EXTRA("18446744073709551616"), 0)

    /* 5: wrong types */
    CASE(5, REFUSED, "tensor is null", "{'a':null}", 0)
    CASE(5, REFUSED, "tensor is a string", "{'a':'x'}", 0)
    CASE(5, REFUSED, "tensor is a number", "{'a':1}", 0)
    CASE(5, REFUSED, "tensor is a boolean", "{'a':true}", 0)
    CASE(5, REFUSED, "tensor is an empty array", "{'a':[]}", 0)
    CASE(5, REFUSED, "tensor is an empty object", "{'a':{}}", 0)
    CASE(5, STRICTER, "tensor is an array of its three values", "{'a':['U8',[0],[0,0]]}", 0)
    CASE(5, REFUSED, "tensor is an array of two values", "{'a':['U8',[0]]}", 0)
    CASE(5, REFUSED, "tensor is an array of four values", "{'a':['U8',[0],[0,0],1]}", 0)
    CASE(5, REFUSED, "tensor is an array in another order", "{'a':[[0],'U8',[0,0]]}", 0)
    CASE(5, REFUSED, "dtype is null", "{'a':{'dtype':null,'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "dtype is a number", "{'a':{'dtype':5,'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "dtype is an array", "{'a':{'dtype':['U8'],'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, STRICTER, "dtype is an object with a null",
         "{'a':{'dtype':{'U8':null},'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "dtype is an object with a number", "{'a':{'dtype':{'U8':1},'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "dtype is an empty object", "{'a':{'dtype':{},'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "shape is null", "{'a':{'dtype':'U8','shape':null,'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "shape is a number", "{'a':{'dtype':'U8','shape':0,'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "shape is a string", "{'a':{'dtype':'U8','shape':'0','data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "shape is an object", "{'a':{'dtype':'U8','shape':{},'data_offsets':[0,0]}}", 0)
    CASE(5, REFUSED, "shape holds an array", ONE("U8", "[0]", "0,0"), 0)
    CASE(5, REFUSED, "shape holds an object", ONE("U8", "{}", "0,0"), 0)
    CASE(5, REFUSED, "offsets are null", "{'a':{'dtype':'U8','shape':[0],'data_offsets':null}}", 0)
    CASE(5, REFUSED, "offsets are a number", "{'a':{'dtype':'U8','shape':[0],'data_offsets':0}}", 0)
    CASE(5, REFUSED, "offsets are an object", "{'a':{'dtype':'U8','shape':[0],'data_offsets':{'0':0}}}", 0)
    CASE(5, REFUSED, "offsets are a string", "{'a':{'dtype':'U8','shape':[0],'data_offsets':'0,0'}}", 0)
    CASE(5, TAKEN, "metadata is empty", META("{}"), 0)
    CASE(5, TAKEN, "metadata is null", META("null"), 0)
    CASE(5, REFUSED, "metadata is an array", META("[]"), 0)
    CASE(5, REFUSED, "metadata is a string", META("'x'"), 0)
    CASE(5, REFUSED, "metadata is a number", META("1"), 0)
    CASE(5, REFUSED, "metadata is a boolean", META("false"), 0)
    CASE(5, TAKEN, "metadata value is a string", META("{'k':'v'}"), 0)
    CASE(5, REFUSED, "metadata value is a number", META("{'k':1}"), 0)
    CASE(5, REFUSED, "metadata value is null", META("{'k':null}"), 0)
    CASE(5, REFUSED, "metadata value is a boolean", META("{'k':true}"), 0)
    CASE(5, REFUSED, "metadata value is an array", META("{'k':['v']}"), 0)
    CASE(5, REFUSED, "metadata value is an object", META("{'k':{}}"), 0)
    CASE(5, REFUSED, "metadata that looks like a tensor", META(D("U8", "0", "0,0")), 0)

    /* 6: strings */
    CASE(6, TAKEN, "all short escapes", NAMED("'\\'\\\\\\/\\b\\f\\n\\r\\t'"), 0)
    CASE(6, REFUSED, "escape \\x", NAMED("'\\x41'"), 0)
    CASE(6, REFUSED, "escape \\a", NAMED("'\\a'"), 0)
    CASE(6, REFUSED, "escape \\v", NAMED("'\\v'"), 0)
    CASE(6, REFUSED, "escape \\0", NAMED("'\\0'"), 0)
    CASE(6, REFUSED, "escaped single quote", NAMED("'\\^'"), 0)
    CASE(6, REFUSED, "escape \\U", NAMED("'\\U0041'"), 0)
    CASE(6, REFUSED, "escaped line end", NAMED("'\\\n'"), 0)
    CASE(6, TAKEN, "\\u in capitals and small letters", NAMED("'\\u00e9\\u00E9'"), 0)
    CASE(6, TAKEN, "\\u0000 in a name", NAMED("'a\\u0000b'"), 0)
    CASE(6, REFUSED, "a raw NUL in a name", NAMED("'a\0b'"), 0)
    CASE(6, REFUSED, "a raw line end in a name", NAMED("'a\nb'"), 0)
    CASE(6, REFUSED, "a raw tab in a name", NAMED("'a\tb'"), 0)
    CASE(6, REFUSED, "raw 0x1f in a name", NAMED("'\x1f'"), 0)
    CASE(6, TAKEN, "raw 0x7f in a name", NAMED("'\x7f'"), 0)
    CASE(6, REFUSED, "\\u with three digits", NAMED("'\\u123'"), 0)
    CASE(6, REFUSED, "\\u with a bad digit", NAMED("'\\u12g4'"), 0)
    CASE(6, REFUSED, "\\u with a sign", NAMED("'\\u+123'"), 0)
    CASE(6, REFUSED, "\\u at the end of the text", "{'\\u12", 0)
    CASE(6, REFUSED, "a backslash at the end of the text", "{'\\", 0)
    CASE(6, TAKEN, "surrogate pair", NAMED("'\\ud83d\\ude00'"), 0)
    CASE(6, TAKEN, "last surrogate pair", NAMED("'\\udbff\\udfff'"), 0)
    CASE(6, REFUSED, "high surrogate alone", NAMED("'\\ud83d'"), 0)
    CASE(6, REFUSED, "high surrogate, then a letter", NAMED("'\\ud83dx'"), 0)
    CASE(6, REFUSED, "high surrogate, then an escape", NAMED("'\\ud83d\\n'"), 0)
    CASE(6, REFUSED, "high surrogate, then \\u0041", NAMED("'\\ud83d\\u0041'"), 0)
    CASE(6, REFUSED, "two high surrogates", NAMED("'\\ud83d\\ud83d'"), 0)
    CASE(6, REFUSED, "low surrogate alone", NAMED("'\\ude00'"), 0)
    CASE(6, REFUSED, "surrogates in reverse", NAMED("'\\ude00\\ud83d'"), 0)
    CASE(6, REFUSED, "high surrogate in metadata", META("{'k':'\\ud800'}"), 0)
    CASE(6, REFUSED, "high surrogate in an ignored field", EXTRA("'\\ud800'"), 0)
    CASE(6, TAKEN, "escaped key of a field", "{'a':{'\\u0064type':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(6, TAKEN, "escaped dtype", "{'a':{'dtype':'\\u00558','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(6, TAKEN, "escaped __metadata__", "{'\\u005f_metadata__':{'k':'v'}}", 0)
    CASE(6, REFUSED, "escaped __metadata__ is no tensor", "{'\\u005f_metadata__':" U8(0) "}", 0)
    CASE(6, TAKEN, "empty name", NAMED("''"), 0)
    CASE(6, TAKEN, "path-like name", NAMED("'../../etc/passwd'"), 0)
    CASE(6, TAKEN, "absolute path as name", NAMED("'/etc/passwd'"), 0)
    CASE(6, TAKEN, "terminal control as name", NAMED("'\\u001b[2J'"), 0)
    CASE(6, TAKEN, "bidirectional control as name", NAMED("'\xe2\x80\xae'"), 0)
    CASE(6, TAKEN, "name of 4096 bytes", NAMED("'@4096(n)'"), 0)
    CASE(6, TAKEN, "name of 65,536 bytes", NAMED("'@65536(n)'"), 0)
    CASE(6, TAKEN, "name of 65,537 bytes", NAMED("'@65537(n)'"), 0)
    CASE(6, TAKEN, "name with percent signs", NAMED("'%s%n%d'"), 0)
    CASE(6, TAKEN, "name ends in a backslash", NAMED("'\\\\'"), 0)
    CASE(6, TAKEN, "quote behind a backslash", NAMED("'\\\\\\''"), 0)
    CASE(6, TAKEN, "empty metadata key and value", META("{'':''}"), 0)
    CASE(6, TAKEN, "NUL in metadata", META("{'a\\u0000':'\\u0000'}"), 0)

    /* 7: duplicate, missing, unknown, reordered */
    CASE(7, STRICTER, "tensor twice, the same", "{'a':" U8(0) ",'a':" U8(0) "}", 0)
    CASE(7, STRICTER, "tensor twice, another dtype", "{'a':" U8(4) ",'a':" D("F32", "1", "0,4") "}", 4)
    CASE(7, STRICTER, "tensor twice only after unescaping", "{'a':" U8(0) ",'\\u0061':" U8(0) "}", 0)
    CASE(7, STRICTER, "empty name twice", "{'':" U8(0) ",'':" U8(0) "}", 0)
    CASE(7, STRICTER, "name with NUL twice", "{'a\\u0000':" U8(0) ",'a\\u0000':" U8(0) "}", 0)
    CASE(7, TAKEN, "names that differ behind a NUL", "{'a\\u0000b':" U8(0) ",'a\\u0000c':" U8(0) "}", 0)
    CASE(7, TAKEN, "one name begins the other", "{'a':" U8(0) ",'aa':" U8(0) "}", 0)
    CASE(7, TAKEN, "names that differ in case", "{'a':" U8(0) ",'A':" U8(0) "}", 0)
    CASE(7, TAKEN, "composed and decomposed e acute", "{'\\u00e9':" U8(0) ",'e\\u0301':" U8(0) "}", 0)
    CASE(7, REFUSED, "tensor twice, first one misplaced for the last", "{'a':" U8(4) ",'a':" D("U8", "4", "4,8") "}", 8)
    CASE(7, REFUSED, "tensor twice, one broken", "{'a':{},'a':" U8(0) "}", 0)
    CASE(7, REFUSED, "__metadata__ twice", "{'__metadata__':{},'__metadata__':{}}", 0)
    CASE(7, REFUSED, "__metadata__ twice, both null", "{'__metadata__':null,'__metadata__':null}", 0)
    CASE(7, REFUSED, "__metadata__ twice after unescaping", "{'__metadata__':{},'\\u005f_metadata__':{}}", 0)
    CASE(7, STRICTER, "metadata key twice", META("{'k':'1','k':'2'}"), 0)
    CASE(7, STRICTER, "metadata key twice, same value", META("{'k':'1','k':'1'}"), 0)
    CASE(7, STRICTER, "metadata key twice after unescaping", META("{'k':'1','\\u006b':'2'}"), 0)
    CASE(7, TAKEN, "metadata keys that differ in case", META("{'k':'1','K':'2'}"), 0)
    CASE(7, TAKEN, "metadata last", "{'a':" U8(0) ",'__metadata__':{'k':'v'}}", 0)
    CASE(7, TAKEN, "metadata in the middle", "{'a':" U8(0) ",'__metadata__':{},'b':" U8(0) "}", 0)
    CASE(7, REFUSED, "dtype twice", "{'a':{'dtype':'U8','dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "shape twice", "{'a':{'dtype':'U8','shape':[0],'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "offsets twice", "{'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "dtype twice after unescaping",
         "{'a':{'dtype':'U8','\\u0064type':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "no dtype", "{'a':{'shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "no shape", "{'a':{'dtype':'U8','data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "no offsets", "{'a':{'dtype':'U8','shape':[0]}}", 0)
    CASE(7, REFUSED, "Dtype for dtype", "{'a':{'Dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, REFUSED, "field name with a blank", "{'a':{'dtype ':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, TAKEN, "unknown field", EXTRA("1"), 0)
    CASE(7, TAKEN, "unknown field twice", "{'a':{'x':1,'x':2,'dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, TAKEN, "unknown object with duplicates", EXTRA("{'k':1,'k':2}"), 0)
    CASE(7, TAKEN, "unknown field with an empty name", "{'a':{'':[],'dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
    CASE(7, TAKEN, "fields in reverse", "{'a':{'data_offsets':[0,0],'shape':[0],'dtype':'U8'}}", 0)
    CASE(7, REFUSED, "a tensor inside a tensor", "{'a':{'b':" U8(0) "}}", 0)

    /* 8: offsets */
    CASE(8, TAKEN, "two in a row", TWO(U8(2), D("U8", "3", "2,5")), 5)
    CASE(8, TAKEN, "text order unlike file order", TWO(D("U8", "3", "2,5"), U8(2)), 5)
    CASE(8, REFUSED, "reversed", ONE("U8", "2", "2,0"), 2)
    CASE(8, REFUSED, "reversed in the middle", TWO(U8(2), D("U8", "0", "2,1")), 2)
    CASE(8, REFUSED, "a hole of one byte", TWO(U8(2), D("U8", "2", "3,5")), 5)
    CASE(8, REFUSED, "overlap of one byte", TWO(U8(2), D("U8", "2", "1,3")), 3)
    CASE(8, REFUSED, "the same range twice", TWO(U8(2), U8(2)), 2)
    CASE(8, REFUSED, "one range inside the other", TWO(U8(4), D("U8", "2", "1,3")), 4)
    CASE(8, REFUSED, "late start", ONE("U8", "2", "1,3"), 3)
    CASE(8, REFUSED, "beyond the end by one", ONE("U8", "3", "0,3"), 2)
    CASE(8, REFUSED, "one byte left over", ONE("U8", "2", "0,2"), 3)
    CASE(8, REFUSED, "data and no tensor", "{}", 1)
    CASE(8, REFUSED, "no offsets in the array", ONE("U8", "0", ""), 0)
    CASE(8, REFUSED, "one offset", ONE("U8", "0", "0"), 0)
    CASE(8, REFUSED, "three offsets", ONE("U8", "0", "0,0,0"), 0)
    CASE(8, REFUSED, "end wraps when 8 is added", ONE("U8", "1", "0,18446744073709551615"), 1)
    CASE(8, REFUSED, "end is 2^63", ONE("U8", "9223372036854775808", "0,9223372036854775808"), 1)
    CASE(8, REFUSED, "end is 2^63 - 1", ONE("U8", "9223372036854775807", "0,9223372036854775807"), 1)
    CASE(8, REFUSED, "two of 2^63 - 1 wrap to -2", TWO(D("U8", "9223372036854775807", "0,9223372036854775807"),
         D("U8", "9223372036854775807", "9223372036854775807,18446744073709551614")), 1)
    CASE(8, REFUSED, "a terabyte in a small file", ONE("U8", "1099511627776", "0,1099511627776"), 8)
    CASE(8, REFUSED, "gap closed by a third, out of order", "{'a':" U8(1) ",'b':" D("U8", "1", "2,3") ",'c':"
         D("U8", "2", "1,3") "}", 3)
    CASE(8, TAKEN, "three, shuffled", "{'c':" D("U8", "2", "3,5") ",'a':" U8(1) ",'b':" D("U8", "2", "1,3") "}", 5)

    /* 9: shapes */
    CASE(9, TAKEN, "scalar", ONE("F32", "", "0,4"), 4)
    CASE(9, REFUSED, "scalar without bytes", ONE("F32", "", "0,0"), 0)
    CASE(9, TAKEN, "one element", ONE("F32", "1", "0,4"), 4)
    CASE(9, TAKEN, "zero first", ONE("F32", "0,3", "0,0"), 0)
    CASE(9, TAKEN, "zero last", ONE("F32", "3,0", "0,0"), 0)
    CASE(9, TAKEN, "zero in the middle", ONE("F32", "3,0,3", "0,0"), 0)
    CASE(9, REFUSED, "zero size with bytes", ONE("F32", "0", "0,4"), 4)
    CASE(9, REFUSED, "one element too few", ONE("F32", "3", "0,16"), 16)
    CASE(9, REFUSED, "one element too many", ONE("F32", "5", "0,16"), 16)
    CASE(9, REFUSED, "bytes counted as elements", ONE("F32", "16", "0,16"), 16)
    CASE(9, REFUSED, "product wraps to 0", ONE("U8", "4294967296,4294967296", "0,0"), 0)
    CASE(9, REFUSED, "product wraps to 4", ONE("U8", "4611686018427387905,4", "0,4"), 4)
    CASE(9, REFUSED, "product of three wraps to 0", ONE("U8", "2097152,2097152,4194304", "0,0"), 0)
    CASE(9, REFUSED, "product 2^63 - 1 bytes: bits overflow",
         ONE("U8", "9223372036854775807", "0,9223372036854775807"), 0)
    CASE(9, REFUSED, "bits wrap to 0", ONE("U64", "288230376151711744", "0,0"), 0)
    CASE(9, REFUSED, "bits wrap to 64", ONE("U64", "288230376151711745", "0,8"), 8)
    CASE(9, REFUSED, "F4: bits wrap to 8", ONE("F4", "4611686018427387906", "0,1"), 1)
    CASE(9, REFUSED, "overflow before a zero", ONE("U8", "4294967296,4294967296,0", "0,0"), 0)
    CASE(9, TAKEN, "zero before an overflow", ONE("U8", "0,4294967296,4294967296", "0,0"), 0)
    CASE(9, TAKEN, "zero between", ONE("U8", "4294967296,0,4294967296", "0,0"), 0)
    CASE(9, TAKEN, "rank 8", ONE("U8", "@7(1,)1", "0,1"), 1)
    CASE(9, TAKEN, "rank 9", ONE("U8", "@8(1,)1", "0,1"), 1)
    CASE(9, TAKEN, "rank 63", ONE("U8", "@62(1,)1", "0,1"), 1)
    CASE(9, TAKEN, "rank 64", ONE("U8", "@63(1,)1", "0,1"), 1)
    CASE(9, STRICTER, "rank 65", ONE("U8", "@64(1,)1", "0,1"), 1)
    CASE(9, STRICTER, "rank 1000", ONE("U8", "@999(1,)1", "0,1"), 1)
    CASE(9, STRICTER, "rank 100,000", ONE("U8", "@99999(1,)1", "0,1"), 1)
    CASE(9, REFUSED, "rank 65, wrong size", ONE("U8", "@64(1,)1", "0,2"), 2)

    /* 10: empty tensors */
    CASE(10, TAKEN, "alone", ONE("F32", "0", "0,0"), 0)
    CASE(10, TAKEN, "at the start", TWO(U8(0), U8(2)), 2)
    CASE(10, TAKEN, "at the end", TWO(U8(2), D("U8", "0", "2,2")), 2)
    CASE(10, TAKEN, "between", "{'a':" U8(1) ",'b':" D("U8", "0", "1,1") ",'c':" D("U8", "1", "1,2") "}", 2)
    CASE(10, TAKEN, "three at one place", "{'a':" U8(0) ",'b':" U8(0) ",'c':" U8(0) "}", 0)
    CASE(10, TAKEN, "written after what follows it", TWO(D("U8", "2", "0,2"), U8(0)), 2)
    CASE(10, REFUSED, "inside another tensor", TWO(U8(2), D("U8", "0", "1,1")), 2)
    CASE(10, REFUSED, "beyond the end", TWO(U8(2), D("U8", "0", "3,3")), 2)
    CASE(10, REFUSED, "alone, not at 0", ONE("U8", "0", "1,1"), 0)
    CASE(10, REFUSED, "alone, at the end of unclaimed data", ONE("U8", "0", "1,1"), 1)
    CASE(10, REFUSED, "alone, far away", ONE("U8", "0", "9223372036854775807,9223372036854775807"), 0)

    /* 11: dtypes; each at one legal size and beside it */
    CASE(11, TAKEN, "BOOL", ONE("BOOL", "3", "0,3"), 3)
    CASE(11, TAKEN, "F4, two elements", ONE("F4", "2", "0,1"), 1)
    CASE(11, REFUSED, "F4, odd", ONE("F4", "3", "0,2"), 2)
    CASE(11, REFUSED, "F4, odd, rounded down", ONE("F4", "3", "0,1"), 1)
    CASE(11, REFUSED, "F4, scalar", ONE("F4", "", "0,1"), 1)
    CASE(11, TAKEN, "F4, empty", ONE("F4", "0", "0,0"), 0)
    CASE(11, TAKEN, "F4, odd last dimension", ONE("F4", "2,3", "0,3"), 3)
    CASE(11, TAKEN, "F6_E2M3, four", ONE("F6_E2M3", "4", "0,3"), 3)
    CASE(11, REFUSED, "F6_E2M3, three", ONE("F6_E2M3", "3", "0,3"), 3)
    CASE(11, REFUSED, "F6_E2M3, two", ONE("F6_E2M3", "2", "0,2"), 2)
    CASE(11, REFUSED, "F6_E2M3 as whole bytes", ONE("F6_E2M3", "4", "0,4"), 4)
    CASE(11, TAKEN, "F6_E3M2, eight", ONE("F6_E3M2", "8", "0,6"), 6)
    CASE(11, REFUSED, "F6_E3M2, five", ONE("F6_E3M2", "5", "0,4"), 4)
    CASE(11, TAKEN, "U8", ONE("U8", "3", "0,3"), 3)
    CASE(11, TAKEN, "I8", ONE("I8", "3", "0,3"), 3)
    CASE(11, TAKEN, "F8_E5M2", ONE("F8_E5M2", "3", "0,3"), 3)
    CASE(11, TAKEN, "F8_E4M3", ONE("F8_E4M3", "3", "0,3"), 3)
    CASE(11, TAKEN, "F8_E8M0", ONE("F8_E8M0", "3", "0,3"), 3)
    CASE(11, TAKEN, "F8_E4M3FNUZ", ONE("F8_E4M3FNUZ", "3", "0,3"), 3)
    CASE(11, TAKEN, "F8_E5M2FNUZ", ONE("F8_E5M2FNUZ", "3", "0,3"), 3)
    CASE(11, TAKEN, "I16", ONE("I16", "3", "0,6"), 6)
    CASE(11, TAKEN, "U16", ONE("U16", "3", "0,6"), 6)
    CASE(11, TAKEN, "F16", ONE("F16", "3", "0,6"), 6)
    CASE(11, TAKEN, "BF16", ONE("BF16", "3", "0,6"), 6)
    CASE(11, TAKEN, "I32", ONE("I32", "3", "0,12"), 12)
    CASE(11, TAKEN, "U32", ONE("U32", "3", "0,12"), 12)
    CASE(11, TAKEN, "F32", ONE("F32", "3", "0,12"), 12)
    CASE(11, TAKEN, "C64", ONE("C64", "3", "0,24"), 24)
    CASE(11, REFUSED, "C64 as one float", ONE("C64", "3", "0,12"), 12)
    CASE(11, TAKEN, "F64", ONE("F64", "3", "0,24"), 24)
    CASE(11, TAKEN, "I64", ONE("I64", "3", "0,24"), 24)
    CASE(11, TAKEN, "U64", ONE("U64", "3", "0,24"), 24)
    CASE(11, REFUSED, "f32", ONE("f32", "1", "0,4"), 4)
    CASE(11, REFUSED, "F32 and a blank", ONE("F32 ", "1", "0,4"), 4)
    CASE(11, REFUSED, "a prefix: F", ONE("F", "1", "0,4"), 4)
    CASE(11, REFUSED, "a longer name: F320", ONE("F320", "1", "0,4"), 4)
    CASE(11, REFUSED, "F32 and NUL", ONE("F32\\u0000", "1", "0,4"), 4)
    CASE(11, REFUSED, "empty", ONE("", "0", "0,0"), 0)
    CASE(11, REFUSED, "float32", ONE("float32", "1", "0,4"), 4)
    CASE(11, REFUSED, "F8_E4M3FN", ONE("F8_E4M3FN", "1", "0,1"), 1)
    CASE(11, REFUSED, "F8", ONE("F8", "1", "0,1"), 1)
    CASE(11, REFUSED, "C128", ONE("C128", "1", "0,16"), 16)
    CASE(11, REFUSED, "I4", ONE("I4", "2", "0,1"), 1)
    CASE(11, REFUSED, "Q4_0", ONE("Q4_0", "32", "0,18"), 18)
    CASE(11, REFUSED, "full-width F", ONE("\xef\xbc\xa6" "32", "1", "0,4"), 4)
    CASE(11, REFUSED, "unknown, empty", ONE("X", "0", "0,0"), 0)
    CASE(11, REFUSED, "unknown, wild offsets", ONE("X", "1", "0,18446744073709551615"), 0)

    /* 12: length of the file */
    CASE(12, TAKEN, "exact", ONE("U8", "8", "0,8"), 8)
    CASE(12, REFUSED, "one short", ONE("U8", "8", "0,8"), 7)
    CASE(12, REFUSED, "one long", ONE("U8", "8", "0,8"), 9)
    CASE(12, REFUSED, "header only", ONE("U8", "8", "0,8"), 0)
    CASE(12, REFUSED, "twice the data", ONE("U8", "8", "0,8"), 16)
    CASE(12, REFUSED, "a tail behind empty tensors", ONE("U8", "0", "0,0"), 4096)

    /* 13: resource bombs, small versions: large ones are in test_header.c */
    CASE(13, TAKEN, "125 levels in an ignored field", EXTRA("@125([)@125(])"), 0)
    CASE(13, REFUSED, "126 levels: 128 from the top", EXTRA("@126([)@126(])"), 0)
    CASE(13, TAKEN, "125 levels of objects", EXTRA("@125({'k':)1@125(})"), 0)
    CASE(13, REFUSED, "126 levels of objects", EXTRA("@126({'k':)1@126(})"), 0)
    CASE(13, TAKEN, "125 levels, then beside them", EXTRA("[@124([)@124(]),@124([)@124(])]"), 0)
    CASE(13, REFUSED, "100,000 levels, never closed", EXTRA("@100000([)"), 0)
    CASE(13, REFUSED, "50,000 levels of objects", EXTRA("@50000({'k':)"), 0)
    CASE(13, REFUSED, "arrays where a tensor belongs", "{'a':@100000([)", 0)
    CASE(13, REFUSED, "objects where a tensor belongs", "{'a':@50000({'a':)", 0)
    CASE(13, REFUSED, "arrays in shape", ONE("U8", "@10000([)", "0,0"), 0)
    CASE(13, TAKEN, "an ignored array of 100,000", EXTRA("[@99999(1,)1]"), 0)
    CASE(13, TAKEN, "an ignored string of 100,000 escapes", EXTRA("'@100000(\\u0041)'"), 0)
    CASE(13, TAKEN, "metadata value of 100,000 bytes", META("{'k':'@100000(v)'}"), 0)
    CASE(13, STRICTER, "1000 times the same name",
         "{@999('a':{'dtype':'U8','shape':[0],'data_offsets':[0,0]},)'a':" U8(0) "}", 0)
    CASE(13, STRICTER, "1000 times the same metadata key", META("{@999('k':'v',)'k':'v'}"), 0)
    CASE(13, REFUSED, "1000 tensors on one range, two names",
         "{@999('a':{'dtype':'U8','shape':[8],'data_offsets':[0,8]},)'b':" U8(8) "}", 8)
    CASE(13, REFUSED, "claims 2^50 elements", ONE("F64", "1125899906842624", "0,9007199254740992"), 8)
    CASE(13, TAKEN, "100,000 blanks behind", "{}@100000( )", 0)
    CASE(13, TAKEN, "100,000 blanks inside", "{@100000( )}", 0)
    CASE(13, REFUSED, "only opening quotes", "@1000(')", 0)
    CASE(13, TAKEN, "braces in a name", NAMED("'@10000({)'"), 0)

    /* 14: type confusion */
    CASE(14, TAKEN, "zip signature in metadata", META("{'k':'PK\\u0003\\u0004'}"), 0)
    CASE(14, TAKEN, "a script in metadata", META("{'k':'<script>'}"), 0)
    CASE(14, REFUSED, "HTML", "<!DOCTYPE html><html></html>", 0)
    CASE(14, REFUSED, "a pickle", "\x80\x02}q\x00.", 0)
    CASE(14, REFUSED, "an index for a header", "{'metadata':{'total_size':0},'weight_map':{}}", 0)
    CASE(14, REFUSED, "a config for a header", "{'model_type':'llama','hidden_size':2048}", 0)
    CASE(14, TAKEN, "a tensor called weight_map", "{'weight_map':" U8(0) "}", 0)
    CASE(14, TAKEN, "a tensor called dtype", "{'dtype':" U8(0) "}", 0)
    CASE(14, TAKEN, "a tensor called metadata", "{'metadata':" U8(0) "}", 0)
    CASE(14, TAKEN, "a tensor called __METADATA__", "{'__METADATA__':" U8(0) "}", 0)
    CASE(14, REFUSED, "a tensor called __metadata__", "{'__metadata__':" U8(0) "}", 0)
    CASE(14, TAKEN, "__metadata__ as a metadata key", META("{'__metadata__':'x'}"), 0)
    CASE(14, TAKEN, "__metadata__ as a field",
         "{'a':{'__metadata__':1,'dtype':'U8','shape':[0],'data_offsets':[0,0]}}", 0)
};

enum { HEADER_CASES = sizeof header_cases / sizeof *header_cases };

#undef CASE
#undef LENGTH

/* The JSON of a case as bytes; with `out` NULL only counted. */
static inline size_t case_json(const header_case *c, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < c->json_len; i++) {
        size_t times = 1, from = i, n = 1;
        if (c->json[i] == '@') {
            times = 0;
            for (i++; c->json[i] != '('; i++) times = times * 10 + (size_t)(c->json[i] - '0');
            for (from = ++i; c->json[i] != ')'; i++) {
            }
            n = i - from;
        }
        for (; times > 0; times--)
            for (size_t k = 0; k < n; k++, o++) {
                char x = c->json[from + k];
                if (out) out[o] = (char)(x == '\'' ? '"' : x == '^' ? '\'' : x);
            }
    }
    return o;
}

static inline size_t case_size(const header_case *c) { return 8 + case_json(c, NULL) + c->data; }

/* The whole file, case_size bytes. */
static inline void case_build(const header_case *c, unsigned char *out)
{
    size_t n = case_json(c, (char *)out + 8);
    uint64_t length = c->length == EXACT ? n : c->length == DELTA ? n + c->value : c->value;
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)(length >> (8 * i));
    for (unsigned i = 0; i < c->data; i++) out[8 + n + i] = (unsigned char)(i * 7 + 1);
}

#endif

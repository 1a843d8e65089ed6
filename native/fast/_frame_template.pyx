# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""Frames of which only one text changes; see pyserve/web/answer/frame_template.py for the contract."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(str text, Py_ssize_t *size) except NULL

# What follows the backslash for each byte that JSON escapes: a letter, u for a number, 0 for none.
cdef char ESCAPES[256]
# How many bytes longer its escape is.
cdef unsigned char EXTRA[256]
cdef const char *HEX = "0123456789abcdef"


cdef void fill_escapes() noexcept:
    cdef int byte
    for byte in range(256):
        ESCAPES[byte] = b"u" if byte < 0x20 else 0
    ESCAPES[0x08] = b"b"
    ESCAPES[0x09] = b"t"
    ESCAPES[0x0A] = b"n"
    ESCAPES[0x0C] = b"f"
    ESCAPES[0x0D] = b"r"
    ESCAPES[0x22] = b'"'
    ESCAPES[0x5C] = b"\\"
    for byte in range(256):
        EXTRA[byte] = 0 if not ESCAPES[byte] else 5 if ESCAPES[byte] == b"u" else 1


fill_escapes()


cdef Py_ssize_t escaped_size(const unsigned char *text, Py_ssize_t size) noexcept nogil:
    """Bytes of `text` when it is escaped."""
    cdef Py_ssize_t extra = 0
    cdef Py_ssize_t i
    for i in range(size):
        extra += EXTRA[text[i]]
    return size + extra


cdef char *write_escaped(char *out, const unsigned char *text, Py_ssize_t size) noexcept nogil:
    """Write `text` with escapes; returns where it ends."""
    cdef Py_ssize_t i
    cdef char escape
    for i in range(size):
        escape = ESCAPES[text[i]]
        if not escape:
            out[0] = <char>text[i]
            out += 1
            continue
        out[0] = b"\\"
        out[1] = escape
        out += 2
        if escape == b"u":
            out[0] = b"0"
            out[1] = b"0"
            out[2] = HEX[text[i] >> 4]
            out[3] = HEX[text[i] & 15]
            out += 4
    return out


cdef class FrameTemplate:
    """Immutable; any thread."""

    cdef bytes _head
    cdef bytes _tail

    def __init__(self, bytes head not None, bytes tail not None):
        self._head = head
        self._tail = tail

    def fill(self, str text not None):
        cdef Py_ssize_t n_head = PyBytes_GET_SIZE(self._head)
        cdef Py_ssize_t n_tail = PyBytes_GET_SIZE(self._tail)
        cdef Py_ssize_t n_text = 0
        cdef const unsigned char *source = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, &n_text)
        cdef Py_ssize_t n_escaped = escaped_size(source, n_text)
        cdef bytes frame = PyBytes_FromStringAndSize(NULL, n_head + n_escaped + n_tail + 2)
        cdef char *out = PyBytes_AS_STRING(frame)
        memcpy(out, PyBytes_AS_STRING(self._head), n_head)
        out += n_head
        out[0] = b'"'
        out += 1
        if n_escaped == n_text:
            memcpy(out, source, n_text)
            out += n_text
        else:
            out = write_escaped(out, source, n_text)
        out[0] = b'"'
        memcpy(out + 1, PyBytes_AS_STRING(self._tail), n_tail)
        return frame

"""Records, flat JSON objects that C edits as text, against Python's own reader."""
import ctypes
import json
import os
import random
import unittest

import sparse24
from support import Case


def edited(function, record, *arguments):
    size = getattr(sparse24.library(), function)(record, *arguments, None, 0)
    out = ctypes.create_string_buffer(size)
    assert getattr(sparse24.library(), function)(record, *arguments, ctypes.addressof(out), size) == size
    return out.value


class Records(Case):
    def test_against_json(self):
        source = random.Random(1)
        letters = ["a", "\"", "\\", "\n", "ä", "€", "😀", "}", "{", ",", ":", " ", "/"]

        def text():
            return "".join(source.choice(letters) for _ in range(source.randrange(6)))

        def value(depth=0):
            kinds = [text, source.random, lambda: source.randrange(-5, 5), lambda: None, lambda: True]
            kinds += [lambda: [value(depth + 1) for _ in range(2)], lambda: {text(): value(depth + 1)}] if depth < 2 else []
            return source.choice(kinds)()

        plain = [letter for letter in letters if letter not in "\"\\\n" and letter.isascii()]  # keys that need no escapes
        for _ in range(2000):
            record = {"".join(source.choice(plain) for _ in range(source.randrange(4))): value() for _ in range(source.randrange(5))}
            separators = source.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
            written = json.dumps(record, separators=separators, ensure_ascii=source.random() < 0.5).encode()
            key = source.choice([*record, "new"])
            found = record.get(key)
            number, size = ctypes.c_double(), sparse24.library().s24_record_str(written, key.encode(), None, 0)
            self.assertEqual(size > 0, isinstance(found, str))
            if size:
                out = ctypes.create_string_buffer(size)
                sparse24.library().s24_record_str(written, key.encode(), ctypes.addressof(out), size)
                self.assertEqual(out.value.decode(), found)
            is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
            self.assertEqual(sparse24.library().s24_record_float(written, key.encode(), ctypes.byref(number)) == 0, is_number)
            self.assertTrue(not is_number or number.value == found)
            rest = {name: one for name, one in record.items() if name != key}
            fresh = text()
            self.assertEqual(json.loads(edited("s24_record_set_str", written, key.encode(), fresh.encode())), {**rest, key: fresh})
            self.assertEqual(json.loads(edited("s24_record_set_str", written, key.encode(), None)), rest)
            self.assertEqual(json.loads(edited("s24_record_set_float", written, key.encode(), 0.1)), {**rest, key: 0.1})

    def test_bytes_of_paths(self):
        path = b"caf\xe9 \xff"
        self.assertEqual(os.fsencode(json.loads(edited("s24_record_set_str", b"{}", b"path", path))["path"]), path)

    def test_others(self):
        self.assertEqual(sparse24.library().s24_utf8_length("ä".encode(), 2), 2)
        self.assertGreaterEqual(sparse24.library().s24_seconds(), 0)


if __name__ == "__main__":
    unittest.main()

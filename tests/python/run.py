"""All tests of examples/python, or those of the modules named: SPARSE24_LIBRARY=build/lib/libsparse24.so python3 tests/python/run.py [test_arrays ...]"""
import importlib
import sys

import support

ALL = ["test_interface", "test_arrays", "test_solve", "test_packed", "test_lifetimes", "test_files", "test_records", "test_model", "test_group", "test_text", "test_torch"]
names = sys.argv[1:] or ALL
failed = support.main(*map(importlib.import_module, names))
if names == ALL:
    missing = sorted({name for _, name, _ in support.functions() if not name.endswith("_destroy")} - support.called)
    print("not ok" if missing else "ok", "every function is called somewhere", *missing)
    failed = failed or bool(missing)
sys.exit(failed)

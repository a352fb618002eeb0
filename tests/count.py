"""Add up what the suites in meson's testlog.json files and the logs of scripts ran: Check's own counts, ok lines, one for anything else.
The last line is "N passed, N failed"; the exit status is 1 when anything failed or nothing ran."""
import json
import re
import sys


def counts(test):
    text = test.get("stdout", "")
    check = re.findall(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", text)
    passed = sum(int(n) - int(f) - int(e) for n, f, e in check)
    failed = sum(int(f) + int(e) for _, f, e in check)
    passed += len(re.findall(r"^ok\b", text, re.M))
    failed += len(re.findall(r"^not ok\b", text, re.M))
    good = test["result"] == "OK"
    if passed + failed == 0:
        passed = int(good)
    if not good and failed == 0:
        failed = 1
    return passed, failed


total_passed = total_failed = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        script = {"name": "", "result": "OK", "duration": 0.0}
        for test in map(json.loads, file) if path.endswith(".json") else [dict(script, stdout=file.read())]:
            passed, failed = counts(test)
            total_passed += passed
            total_failed += failed
            print(f"{path.split('/')[-1]:20} {test['name'][-40:]:40} {passed:5} passed {failed:3} failed {test['duration']:7.1f} s")
print(f"{total_passed} passed, {total_failed} failed")
sys.exit(total_failed > 0 or total_passed == 0)

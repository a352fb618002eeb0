"""What the built library is, whatever its source says: which system functions each part calls, what can be written to, what is exported,
how it is hardened. check_binary.py LIBRARY.so LIBRARY.a [model]. One "ok" or "not ok" line a rule."""
import re
import subprocess
import sys

LIBRARY, ARCHIVE, *MODEL = sys.argv[1:]

# Member of the archive -> what it may call besides the library itself. Everybody may copy, compare, format into memory and do arithmetic.
EVERYBODY = (r"mem(cpy|set|move|cmp|chr|rchr)|str(n?cat|n?cmp|n?len|n?cpy|r?chr|str|c?spn|pbrk)|v?snprintf|_GLOBAL_OFFSET_TABLE_|__popcountdi2|__tls_get_addr|"
             r"__stack_chk_fail|__(mem|str|v?snprintf)\w*_chk|"
             r"f?(fma|fmax|fmin|fabs|sqrt|pow|exp|exp2|log|log2|log10|log1p|ldexp|frexp|nearbyint|rint|lrint|round|floor|ceil|trunc|copysign|nextafter|cbrt|"
             r"hypot|cos|sin|acos|atan2)f?")
SYSTEM = {
    "base_memory.c.o": r"posix_memalign|free",
    "base_parallel.c.o": r"pthread_\w+|sched_getaffinity|__sched_cpucount|getpid|sigfillset",
    "base_lock.c.o": r"pthread_mutex_\w+",
    "base_clock.c.o": r"clock_gettime",
    "base_number.c.o": r"newlocale|freelocale|strtod_l",
    # Those whose failure must be told fail in tests/faults.
    "io_os.c.o": r"open64|[fl]?stat64|mmap64|munmap|pread64|pwrite64|ftruncate64|copy_file_range|fsync|close|rename|unlink|unlinkat|remove|mkdir|"
                 r"rmdir|opendir|readdir64|closedir|realpath|getpid|strerror_r|__errno_location",
    "io_temporary.c.o": r"open64|[fl]?stat64|close|unlink|remove|mkdir|rmdir|fchmod|flock|linkat|getpid|__errno_location",
    "ops_linear_blas.c.o": r"cblas_\w+|LAPACKE_\w+_work|openblas_[gs]et_\w+|blas_memory_(alloc|free)|mmap(64)?|munmap|(__isoc99_)?sscanf",
    "api_context.c.o": r"getenv",
    "api_device.c.o": r"dl(open|sym|close|error)",
}
# Variables that may change: the guard of OpenBLAS's thread count and buffers and its name, made once (docs/threads.md).
WRITABLE = {("ops_linear_blas.c.o", name) for name in ("guard", "holds", "threads_before", "users", "mapped", "name")}
# The library of whole models works with files and formats numbers. It never prints, exits, handles signals or starts anything.
NEVER = (r"v?printf|puts|putchar|perror|_?exit|abort|\w*signal|sigaction|sigprocmask|setlocale|s?rand|getenv|putenv|setenv|system|popen|fork|exec\w+|"
         r"pthread_\w+|chdir|umask|stdin|stdout|stderr|strtok|strerror_l")
NEEDED = ("libpcre2-8\\.so\\.\\d|" if MODEL else "") + r"libsparse24\.so\.[\d.]+|libopenblas\.so\.\d|liblapacke\.so\.\d|libm\.so\.6|libc\.so\.6|libpthread\.so\.0|ld-linux-[\w-]+\.so\.\d"


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def members(*command):
    """(member, line) of a listing of the archive."""
    member = ""
    for line in lines(*command):
        found = re.match(r"(?:.*\()?([\w.+-]+\.o)\)?:", line)
        member = found.group(1) if found else member
        yield member, line


def system_calls():
    for member, line in members("nm", "-u", ARCHIVE):
        name = line.split()[-1] if line.strip().startswith("U ") else ""
        if name and not re.match(r"s24[im]?_", name) and (
            re.fullmatch(NEVER, name) if MODEL else not re.fullmatch(f"{EVERYBODY}|{SYSTEM.get(member, '-')}", name)
        ):
            yield f"{member} calls {name}"


def writable_globals():
    for member, line in members("objdump", "-t", ARCHIVE):
        found = re.match(r"[0-9a-f]{16} .{6}O (\.data|\.bss|\*COM\*)(?!\.rel\.ro)\S*\t[0-9a-f]+ (?:\.hidden )?(\S+)$", line)
        if found and (member, found.group(2).split(".")[0]) not in WRITABLE:
            yield f"{member}: {found.group(2)} can be written to ({found.group(1)})"


def exports_are_functions():
    for line in lines("nm", "-D", "--defined-only", LIBRARY):
        kind, name = line.split()[1:]
        if kind not in "TA":
            yield f"{name} is of type {kind}"


def hardening():
    dynamic = "\n".join(lines("readelf", "-dW", LIBRARY))
    headers = "\n".join(lines("readelf", "-lW", LIBRARY))
    if not re.search(r"\bBIND_NOW\b|\bNOW\b", dynamic):
        yield "symbols are bound lazily (-z now)"
    if "TEXTREL" in dynamic:
        yield "code is relocated"
    if "GNU_RELRO" not in headers:
        yield "no read-only relocations (-z relro)"
    if re.search(r"GNU_STACK.* RWE", headers) or "GNU_STACK" not in headers:
        yield "the stack is executable"
    if re.search(r"LOAD.* RWE ", headers):
        yield "a segment can be written and executed"


def needed_libraries():
    for name in re.findall(r"NEEDED.*\[(.*)\]", "\n".join(lines("readelf", "-dW", LIBRARY))):
        if not re.fullmatch(NEEDED, name):
            yield f"needs {name}"


bad = 0
for rule in (system_calls, writable_globals, exports_are_functions, hardening, needed_libraries):
    problems = list(rule())
    print("not ok" if problems else "ok", rule.__name__.replace("_", " "))
    for problem in problems:
        print("   ", problem)
    bad += bool(problems)
sys.exit(bad > 0)

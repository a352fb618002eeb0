/* The program `sparse24`: finds the command, reads its options, runs it. Uses the public interface
 * only. */
#include "commands.h"
#include "message.h"
#include "reexec.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void usage(FILE *stream)
{
    fputs("Usage: sparse24 COMMAND [options]\n\n"
          "N:M sparsity and layer-wise compression of neural-network weights.\n\nCommands:\n",
          stream);
    for (int i = 0; i < command_count; i++)
        fprintf(stream, "  %-12s%s\n", commands[i].name, commands[i].summary);
    fputs("\nsparse24 help COMMAND describes one command.\n\nExamples:\n"
          "  sparse24 compress model.gguf --calib wiki.txt --constraints 2:4 --out small "
          "--plan\n"
          "  sparse24 compress model.gguf --calib wiki.txt --constraints 2:4 --out small\n"
          "  sparse24 info model.gguf\n",
          stream);
}

/* help [COMMAND] */
static int help(const char *name)
{
    const command *c = name ? command_find(name) : NULL;
    if (name && !c)
        return command_unknown(name);
    if (c)
        args_usage(c);
    else
        usage(stdout);
    return DONE;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int run(const command *c, int argc, char **argv)
{
    args a = {0};
    int status = args_parse(c, argc, argv, &a);
    if (!status && a.help)
        args_usage(c);
    else if (!status)
        status = c->run(&a);
    args_close(&a);
    return status;
}

/* Else the next file opened would take the number of a closed standard stream, and its text. Opened the wrong way round, so that using
 * them still fails. */
static int open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            return FAILED;
    return DONE;
}

/* docs/embedding.md; more than what is allowed now can often be had. */
static int check_stack(void)
{
    const rlim_t least = 256 << 10;
    struct rlimit stack;

    if (getrlimit(RLIMIT_STACK, &stack) || stack.rlim_cur >= least)
        return DONE;
    stack.rlim_cur = least;
    if (stack.rlim_max >= least && !setrlimit(RLIMIT_STACK, &stack))
        return DONE;
    fail("the stack may hold %llu KiB, but at least 256 are needed (ulimit -s)",
         (unsigned long long)stack.rlim_max >> 10);
    return FAILED;
}

int main(int argc, char **argv)
{
    int status = open_standard_streams();
    if (!status)
        status = check_stack();
    if (status)
        return status;
    if (argc < 2) {
        usage(stderr);
        return WRONG_USAGE;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file beyond ulimit -f is an error of its write */
    reexec_for_blas(argv);
    const command *c = command_find(argv[1]);
    if (c)
        status = run(c, argc - 2, argv + 2);
    else if (is_help(argv[1]))
        status = help(argv[2]);
    else
        return command_unknown(argv[1]);
    if ((fflush(stdout) || ferror(stdout)) && status == DONE) {
        fail("standard output: %s", strerror(errno));
        status = FAILED;
    }
    return status;
}

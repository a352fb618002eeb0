#include "api.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

s24_status s24i_check_constraints(int64_t n, int64_t m, int64_t cols)
{
    if (n < 1 || n > m || m > S24I_MAX_GROUP)
        return s24i_fail(S24_E_ARG, "pattern %lld:%lld: n:m keeps n of each m, 1 <= n <= m <= %d",
                         (long long)n, (long long)m, S24I_MAX_GROUP);
    if (cols % m)
        return s24i_fail(S24_E_SHAPE,
                         "pattern %lld:%lld: the %lld columns of w are not a multiple of %lld",
                         (long long)n, (long long)m, (long long)cols, (long long)m);
    return S24_OK;
}

/* Of "n:mt" the columns are cut into groups too. */
static s24_status check_both(const s24i_constraints *constraints, int64_t rows)
{
    if (rows % constraints->m == 0)
        return S24_OK;
    return s24i_fail(S24_E_SHAPE,
                     "pattern %d:%dt: the %lld rows of w are not a multiple of %d, as the columns "
                     "have to be cut into groups of %d too",
                     (int)constraints->n, (int)constraints->m, (long long)rows, (int)constraints->m,
                     (int)constraints->m);
}

s24_status s24i_check_sparsity(double sparsity)
{
    if (sparsity >= 0 && sparsity < 1)
        return S24_OK;
    return s24i_fail(S24_E_ARG, "sparsity is %g, but must be at least 0 and below 1 (100%%)",
                     sparsity);
}

s24_status s24i_check_grid(int64_t bits, int64_t group)
{
    if (bits < 2 || bits > 8)
        return s24i_fail(S24_E_ARG, "grid of %lld bits: must be 2 to 8", (long long)bits);
    if (group < 0 || group > S24I_MAX_DIM)
        return s24i_fail(S24_E_ARG, "group of %lld inputs: must be 1 to %d, or 0 for whole rows",
                         (long long)group, S24I_MAX_DIM);
    return S24_OK;
}

s24_status s24i_check_rank(int64_t rank)
{
    if (rank >= 1 && rank <= S24I_MAX_DIM)
        return S24_OK;
    return s24i_fail(S24_E_ARG, "rank is %lld, but must be 1 to %d", (long long)rank, S24I_MAX_DIM);
}

/* ---- Reading ---- */

typedef struct reader {
    const char *at;
    int64_t rows, cols;
    s24i_constraints constraints;
} reader;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

static void skip_space(reader *in)
{
    while (is_space(*in->at))
        in->at++;
}

static bool skip(reader *in, char c)
{
    skip_space(in);
    if (*in->at != c)
        return false;
    in->at++;
    return true;
}

/* The characters of one kind that stand here, cut to fit. */
static void take(reader *in, bool (*kind)(char), char out[S24I_WORD])
{
    size_t size = 0;

    skip_space(in);
    for (; kind(*in->at); in->at++)
        if (size < S24I_WORD - 1)
            out[size++] = *in->at;
    out[size] = 0;
}

static const char terms[] = "terms are \"2:4\", \"2:4t\", \"2:4 dense 12%\", \"2:4 blocks 64\", "
                            "\"70%\", \"row 70%\", \"columns 25%\", "
                            "\"heads 3 kept of 9\", \"int4 sym g128\" and "
                            "\"rank 64\", \"dictionary 20%\", joined by \"+\"";

static s24_status malformed(const reader *in, const char *wanted)
{
    return s24i_fail(S24_E_OPTION, "expected %s at \"%.32s\"; %s", wanted, in->at, terms);
}

/* It was read up to its digits, which the answer holds too. */
static s24_status unknown_word(const reader *in, const char *word)
{
    const char *at = in->at;

    if (!strcmp(word, "mask"))
        return s24i_fail(S24_E_OPTION,
                         "\"mask\" is not a text: give the mask to s24_problem_set_mask()");
    while (is_letter(*at) || is_digit(*at))
        at++;
    int rest = at - in->at < S24I_WORD ? (int)(at - in->at) : S24I_WORD;
    return s24i_fail(S24_E_OPTION, "unknown word \"%s%.*s\"; %s", word, rest, in->at, terms);
}

/* "int4+g128", and "sparse". */
static s24_status unknown_term(const reader *in, const char *word)
{
    if (strcmp(word, "g") && s24i_grid_scheme(word) < 0)
        return unknown_word(in, word);
    return s24i_fail(S24_E_OPTION,
                     "\"%s\" is not a term of its own: it follows a grid without \"+\"; %s", word,
                     terms);
}

static s24_status read_integer(reader *in, const char *wanted, int64_t *value)
{
    char number[S24I_WORD];
    const char *start = in->at;

    take(in, is_digit, number);
    if (s24i_integer_read(number, value))
        return S24_OK;
    in->at = start;
    return malformed(in, wanted);
}

/* Is it the word that stands here? Then it is behind. */
static bool next_is(reader *in, const char *word)
{
    size_t size = strlen(word);

    skip_space(in);
    if (strncmp(in->at, word, size) || is_letter(in->at[size]))
        return false;
    in->at += size;
    return true;
}

/* What is left is cut into groups of m; at least one of them. */
static s24_status check_dense(const reader *in, double wanted)
{
    int64_t m = in->constraints.m, least = in->cols % m ? in->cols % m : m, most = in->cols - m;
    int64_t near = least + (int64_t)nearbyint(fmax(0, (wanted - (double)least) / (double)m)) * m;

    if (in->constraints.dense == near && near >= 1 && near <= most)
        return S24_OK;
    if (least > most)
        return s24i_fail(S24_E_SHAPE,
                         "%lld columns are too few for dense ones beside a group of %lld",
                         (long long)in->cols, (long long)m);
    return s24i_fail(S24_E_SHAPE,
                     "dense %lld: the other columns of w's %lld have to be groups of %lld, so at "
                     "least %lld and at most %lld can be dense; the nearest is %lld",
                     (long long)in->constraints.dense, (long long)in->cols, (long long)m,
                     (long long)least, (long long)most, (long long)(near > most ? most : near));
}

/* "12%", rounded so that the others are groups of m, or "68". */
static s24_status read_dense(reader *in)
{
    int64_t m = in->constraints.m, cols = in->cols;
    double share;
    char number[S24I_WORD], scaled[S24I_WORD + 4];
    const char *start;

    skip_space(in);
    start = in->at;
    take(in, is_digit, number);
    if (!skip(in, '%')) {
        in->at = start;
        s24_status status =
            read_integer(in, "a share in percent, or a number of columns", &in->constraints.dense);
        return status ? status : check_dense(in, (double)in->constraints.dense);
    }
    snprintf(scaled, sizeof scaled, "%se-2", number);
    if (!s24i_number_read(scaled, &share))
        return malformed(in, "a number of percent");
    s24_status status = s24i_check_sparsity(share);
    double groups = ((1 - share) * (double)cols) / (double)m;
    in->constraints.dense = cols - (int64_t)nearbyint(groups) * m;
    return status ? status : check_dense(in, share * (double)cols);
}

/* Blocks of both sides, of whole groups. */
static s24_status read_blocks(reader *in)
{
    int64_t size, m = in->constraints.m, near;
    s24_status status = read_integer(in, "the size of a block", &size);

    if (status)
        return status;
    in->constraints.blocks = size;
    if (size >= 1 && size % m == 0 && in->rows % size == 0 && in->cols % size == 0)
        return S24_OK;
    for (near = size / m * m; near > 0 && (in->rows % near || in->cols % near); near -= m)
        ;
    for (int64_t up = near ? 0 : m; up && up <= in->rows && up <= in->cols && !near; up += m)
        near = in->rows % up || in->cols % up ? 0 : up;
    if (!near)
        return s24i_fail(S24_E_SHAPE,
                         "blocks %lld: no multiple of %lld divides both %lld rows and %lld columns",
                         (long long)size, (long long)m, (long long)in->rows, (long long)in->cols);
    return s24i_fail(S24_E_SHAPE,
                     "blocks %lld: must be a multiple of %lld that divides %lld rows and %lld "
                     "columns; %lld is possible",
                     (long long)size, (long long)m, (long long)in->rows, (long long)in->cols,
                     (long long)near);
}

static s24_status read_codes_pattern(reader *in, int64_t n, int64_t m);

static s24_status read_constraints(reader *in, const char *number)
{
    static const char wanted[] = "a pattern of two integers";
    int64_t n, m;

    if (!s24i_integer_read(number, &n))
        return malformed(in, wanted);
    s24_status status = read_integer(in, wanted, &m);
    if (status)
        return status;
    if (in->constraints.dictionary.asked)
        return read_codes_pattern(in, n, m);
    if (in->constraints.n)
        return s24i_fail(S24_E_OPTION, "a second pattern, %lld:%lld", (long long)n, (long long)m);
    in->constraints.n = (int32_t)n;
    in->constraints.m = (int32_t)m;
    in->constraints.both = *in->at == 't' && !is_letter(in->at[1]);
    in->at += in->constraints.both;
    status = s24i_check_constraints(n, m, m); /* what can be told without columns */
    if (!status && next_is(in, "dense"))
        status = read_dense(in);
    else if (!status && next_is(in, "blocks"))
        status = read_blocks(in);
    if (!status)
        status = s24i_check_constraints(n, m, in->cols - in->constraints.dense);
    return status || !in->constraints.both ? status : check_both(&in->constraints, in->rows);
}

static s24_status read_sparsity(reader *in, const char *number, int32_t scope)
{
    char scaled[S24I_WORD + 4];

    /* Scaled as text, so that "33.3%" is the double nearest to 0.333. */
    snprintf(scaled, sizeof scaled, "%se-2", number);
    if (!s24i_number_read(scaled, &in->constraints.sparsity))
        return malformed(in, "a number of percent");
    if (in->constraints.scope)
        return s24i_fail(S24_E_OPTION, "a second sparsity, %s%%", number);
    in->constraints.scope = scope;
    return s24i_check_sparsity(in->constraints.sparsity);
}

/* "sym", "g128", in any order, after "int4". */
static s24_status read_grid_words(reader *in, s24i_grid_form *grid)
{
    char word[S24I_WORD];
    s24_status status = S24_OK;
    int32_t scheme = -1;

    for (skip_space(in); !status && is_letter(*in->at); skip_space(in)) {
        take(in, is_letter, word);
        if (!strcmp(word, "g") && grid->group) {
            status = s24i_fail(S24_E_OPTION, "a second group size");
        } else if (!strcmp(word, "g")) {
            status = read_integer(in, "a group size", &grid->group);
            if (!status && grid->group < 1)
                status = s24i_fail(S24_E_OPTION, "g0: a group holds at least one input");
        } else if (s24i_grid_scheme(word) < 0) {
            status = unknown_word(in, word);
        } else if (scheme >= 0) {
            status = s24i_fail(S24_E_OPTION, "a second scheme, %s", word);
        } else {
            grid->scheme = scheme = s24i_grid_scheme(word);
        }
    }
    return status;
}

static s24_status read_grid(reader *in)
{
    s24i_grid_form grid = {0};
    int64_t bits;
    s24_status status = read_integer(in, "a number of bits", &bits);

    if (!status)
        status = read_grid_words(in, &grid);
    if (!status)
        status = s24i_check_grid(bits, grid.group);
    if (!status && in->constraints.grid.bits)
        status = s24i_fail(S24_E_OPTION, "a second grid, int%lld", (long long)bits);
    grid.bits = (int32_t)bits;
    in->constraints.grid = grid;
    return status;
}

/* A word that has to stand here. */
static s24_status read_word(reader *in, const char *wanted)
{
    char word[S24I_WORD], text[S24I_WORD + 8];
    const char *start = in->at;

    take(in, is_letter, word);
    if (!strcmp(word, wanted))
        return S24_OK;
    in->at = start;
    snprintf(text, sizeof text, "\"%s\"", wanted);
    return malformed(in, text);
}

/* "25%" of the units go, or "3 kept". */
static s24_status read_share(reader *in, double *share, int64_t *keep)
{
    char number[S24I_WORD], scaled[S24I_WORD + 4];
    const char *start;

    skip_space(in);
    start = in->at;
    take(in, is_digit, number);
    if (!skip(in, '%')) {
        in->at = start;
        s24_status status = read_integer(in, "a share in percent, or how many are kept", keep);
        return status ? status : read_word(in, "kept");
    }
    snprintf(scaled, sizeof scaled, "%se-2", number);
    if (!s24i_number_read(scaled, share))
        return malformed(in, "a number of percent");
    return s24i_check_sparsity(*share);
}

/* The nearest that is possible is named. */
static s24_status check_units(const s24i_units *units, int64_t cols)
{
    const char *name = s24i_unit_name(units->kind);
    int64_t near = units->count;

    if (units->count < 1 || units->count > cols || cols % units->count) {
        near = near < 1 ? 1 : near > cols ? cols : near;
        while (cols % near)
            near--;
        return s24i_fail(S24_E_SHAPE,
                         "%lld %s: the %lld columns of w cannot be cut into so many equal parts; "
                         "%lld is possible",
                         (long long)units->count, name, (long long)cols, (long long)near);
    }
    if (units->keep < 1 || units->keep > units->count)
        return s24i_fail(S24_E_ARG, "%lld %s kept: there are %lld, and at least 1 must be kept",
                         (long long)units->keep, name, (long long)units->count);
    return S24_OK;
}

/* "columns 25%", "heads 3 kept of 9". */
static s24_status read_units(reader *in, int32_t kind)
{
    s24i_units units = {.kind = kind, .count = in->cols};
    double share = -1;
    s24_status status = read_share(in, &share, &units.keep);

    if (!status && kind != S24I_UNIT_COLUMN)
        status = read_word(in, "of");
    if (!status && kind != S24I_UNIT_COLUMN)
        status = read_integer(in, "how many there are", &units.count);
    if (!status && in->constraints.units.kind)
        status =
            s24i_fail(S24_E_OPTION, "a second term of whole columns, %s", s24i_unit_name(kind));
    if (!status && share >= 0)
        units.keep = units.count - s24i_zeros(share, units.count);
    if (!status)
        status = check_units(&units, in->cols);
    in->constraints.units = units;
    return status;
}

static int32_t unit_kind(const char *word)
{
    for (int32_t kind = S24I_UNIT_COLUMN; kind <= S24I_UNIT_GROUP; kind++)
        if (!strcmp(word, s24i_unit_name(kind)))
            return kind;
    return S24I_UNIT_NONE;
}

static s24_status read_rank(reader *in)
{
    int64_t rank;
    s24_status status = read_integer(in, "a rank", &rank);

    if (!status)
        status = s24i_check_rank(rank);
    if (!status && in->constraints.rank)
        status = s24i_fail(S24_E_OPTION, "a second rank, %lld", (long long)rank);
    in->constraints.rank = rank;
    return status;
}

/* What a dictionary leaves of the bytes, from its least on: a group of atoms, one of them used. */
static s24_status check_saved(const reader *in, double saved)
{
    int32_t unit = in->constraints.dictionary.n ? in->constraints.dictionary.m : 1;
    int32_t used = in->constraints.dictionary.n ? in->constraints.dictionary.n : 1;
    double rows = (double)in->rows, cols = (double)in->cols;
    double left = (unit * (cols + rows / 16) + used * rows) / (rows * cols);

    if (saved >= 0 && saved < 1 && saved <= 1 - left)
        return S24_OK;
    if (left >= 1)
        return s24i_fail(S24_E_SHAPE,
                         "a matrix of %lld x %lld is too small: the least dictionary has more "
                         "bytes",
                         (long long)in->rows, (long long)in->cols);
    return s24i_fail(S24_E_SHAPE,
                     "dictionary %g%%: at least 0%% and at most %.3g%% of the bytes of %lld x %lld "
                     "can be saved",
                     100 * saved, floor(1000 * (1 - left)) / 10, (long long)in->rows,
                     (long long)in->cols);
}

static s24_status check_atoms(const reader *in)
{
    const s24i_factoring *d = &in->constraints.dictionary;

    if (d->atoms < 1 || d->atoms > S24I_MAX_DIM)
        return s24i_fail(S24_E_ARG, "dictionary of %lld atoms: must be 1 to %d",
                         (long long)d->atoms, S24I_MAX_DIM);
    if (d->nonzeros < 1 || d->nonzeros > d->atoms)
        return s24i_fail(S24_E_ARG, "dictionary %lld:%lld: a row uses 1 to %lld of the atoms",
                         (long long)d->atoms, (long long)d->nonzeros, (long long)d->atoms);
    return S24_OK;
}

/* "20%" of the bytes saved, or "294:147", atoms and how many a row uses. */
static s24_status read_dictionary(reader *in)
{
    s24i_factoring *d = &in->constraints.dictionary;
    char number[S24I_WORD], scaled[S24I_WORD + 4];
    const char *start;

    if (d->asked)
        return s24i_fail(S24_E_OPTION, "a second dictionary");
    if (in->constraints.n)
        return s24i_fail(S24_E_OPTION, "a pattern before the dictionary: the n:m of its codes "
                                       "follows it, as in \"dictionary 20%%+2:4\"");
    d->asked = true;
    skip_space(in);
    start = in->at;
    take(in, is_digit, number);
    if (skip(in, '%')) {
        snprintf(scaled, sizeof scaled, "%se-2", number);
        return s24i_number_read(scaled, &d->saved) ? check_saved(in, d->saved)
                                                   : malformed(in, "a number of percent");
    }
    in->at = start;
    s24_status status = read_integer(in, "a share of bytes, or a number of atoms", &d->atoms);
    if (!status && !skip(in, ':'))
        return malformed(in, "\":\" or \"%\"");
    if (!status)
        status = read_integer(in, "how many atoms a row uses", &d->nonzeros);
    return status ? status : check_atoms(in);
}

/* "+2:4" behind a dictionary is the pattern of its codes. */
static s24_status read_codes_pattern(reader *in, int64_t n, int64_t m)
{
    s24i_factoring *d = &in->constraints.dictionary;
    s24_status status = s24i_check_constraints(n, m, m);

    if (!status && d->n)
        status = s24i_fail(S24_E_OPTION, "a second pattern, %lld:%lld", (long long)n, (long long)m);
    if (!status && d->atoms && (d->atoms % m || d->nonzeros * m != d->atoms * n))
        status = s24i_fail(S24_E_SHAPE,
                           "dictionary %lld:%lld: %lld:%lld needs groups of %lld atoms; %lld:%lld "
                           "is possible",
                           (long long)d->atoms, (long long)d->nonzeros, (long long)n, (long long)m,
                           (long long)m, (long long)((d->atoms + m - 1) / m * m),
                           (long long)((d->atoms + m - 1) / m * n));
    d->n = (int32_t)n;
    d->m = (int32_t)m;
    return status || d->atoms ? status : check_saved(in, d->saved);
}

static s24_status read_term(reader *in)
{
    int32_t scope = S24I_SCOPE_NONE;
    char word[S24I_WORD], number[S24I_WORD];

    take(in, is_letter, word);
    if (!strcmp(word, "int"))
        return read_grid(in);
    if (!strcmp(word, "rank"))
        return read_rank(in);
    if (!strcmp(word, "dictionary"))
        return read_dictionary(in);
    if (unit_kind(word))
        return read_units(in, unit_kind(word));
    if (!strcmp(word, "row") || !strcmp(word, "layer"))
        scope = *word == 'r' ? S24I_SCOPE_ROW : S24I_SCOPE_LAYER;
    else if (*word)
        return unknown_term(in, word);
    take(in, is_digit, number);
    if (!*number)
        return malformed(in, "a number");
    if (!scope && skip(in, ':'))
        return read_constraints(in, number);
    if (skip(in, '%'))
        return read_sparsity(in, number, scope ? scope : S24I_SCOPE_LAYER);
    return malformed(in, scope ? "\"%\"" : "\":\" or \"%\"");
}

static s24_status read_terms(reader *in)
{
    s24_status status;

    skip_space(in);
    if (!*in->at)
        return S24_OK;
    do {
        if ((status = read_term(in)))
            return status;
    } while (skip(in, '+'));
    return *in->at ? malformed(in, "\"+\"") : S24_OK;
}

/* Fail with the text that was given and, if it can be told, the one that was meant. */
static s24_status refuse_text(s24_status status, const char *text, int64_t rows, int64_t cols)
{
    char meant[S24I_CONSTRAINTS_TEXT], prefix[128 + S24I_CONSTRAINTS_TEXT];
    reader in = {.at = meant, .rows = rows, .cols = cols};
    s24i_failure kept = {0};

    s24i_failure_keep(&kept, 0, status);
    bool known = s24i_constraints_meant(text, meant) && read_terms(&in) == S24_OK;
    s24i_failure_raise(&kept);
    if (known && !in.constraints.units.kind) /* a share of units stays a share */
        s24i_constraints_text(&in.constraints, false, meant);
    snprintf(prefix, sizeof prefix, "constraints \"%.64s\"%s%s%s", text,
             known ? " (did you mean \"" : "", known ? meant : "", known ? "\"?)" : "");
    return s24i_fail_in(status == S24_E_ARG ? S24_E_OPTION : status, prefix);
}

s24_status s24i_constraints_parse(const char *text, int64_t rows, int64_t cols,
                                  s24i_constraints *constraints)
{
    reader in = {.at = text ? text : "", .rows = rows, .cols = cols};
    s24_status status = read_terms(&in);

    if (status)
        return refuse_text(status, text, rows, cols);
    *constraints = in.constraints;
    return S24_OK;
}

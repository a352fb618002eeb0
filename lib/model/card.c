#include "card.h"
#include "beside.h"
#include "paths.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The source's own card ---- */

static const origin_file *source_card(const s24m_card *c)
{
    for (const origin_file *f = c->origin->files; f < c->origin->files + c->origin->count; f++)
        if (c->origin->folder && !strcmp(s24m_path_name(f->path), CARD))
            return f;
    return NULL;
}

/* Lines that stay in front of a card, for sites that read them. */
static bool is_kept(const char *line)
{
    static const char *const keys[] = {"license:", "license_name:", "license_link:", "language:"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strncmp(line, keys[i], strlen(keys[i])))
            return true;
    return false;
}

/* Print what is kept of the lines between --- and ---, those that go on included. */
static void put_front(FILE *out, const char *path)
{
    char line[400];
    bool kept = false;
    FILE *card = fopen(path, "r");
    if (card && fgets(line, sizeof line, card) && !strncmp(line, "---", 3))
        while (fgets(line, sizeof line, card) && strncmp(line, "---", 3)) {
            if (!strchr(" -#\n\r", *line))
                kept = is_kept(line);
            if (kept && strchr(line, '\n'))
                fputs(line, out);
        }
    if (card)
        fclose(card);
}

/* Its licence as the source names it; "" if it does not. */
static void find_licence(const s24m_card *c, char *licence, size_t size)
{
    static const char key[] = "license:";
    const origin_file *card = source_card(c);
    const char *told = s24_file_meta(c->model->file, "general.license");
    char *front = NULL;
    size_t length;
    FILE *out = open_memstream(&front, &length);
    if (out && card)
        put_front(out, card->path);
    if (out)
        fclose(out);
    char *line = front && *front ? strstr(front, key) : NULL;
    if (line)
        told = line + strlen(key) + strspn(line + strlen(key), " ");
    snprintf(licence, size, "%.*s", told ? (int)strcspn(told, "\r\n") : 0, told ? told : "");
    free(front);
}

/* ---- Parts of the card ---- */

/* A name from elsewhere, as code. */
static void put_name(FILE *out, const char *name)
{
    fputc('`', out);
    for (; *name; name++)
        fputc((unsigned char)*name < ' ' || *name == '`' || *name == '|' ? '?' : *name, out);
    fputc('`', out);
}

static void put_source_name(FILE *out, const s24m_card *c)
{
    const char *path = c->handle->path, *end = path + strlen(path);
    while (end > path + 1 && end[-1] == '/')
        end--;
    const char *name = end;
    while (name > path && name[-1] != '/')
        name--;
    char *copy = strndup(name, (size_t)(end - name));
    put_name(out, copy ? copy : "");
    free(copy);
}

/* Of matrices that only obey nobody knows it. */
static const char *solver_of(const record *r)
{
    return r->text[RECORD_SOLVER] ? r->text[RECORD_SOLVER] : "not told";
}

/* The first record of the same constraints and solver. */
static const record *leader(const s24m_card *c, const record *r)
{
    for (const record *l = c->records; l < r; l++)
        if (!strcmp(l->text[RECORD_CONSTRAINTS], r->text[RECORD_CONSTRAINTS]) &&
            !strcmp(solver_of(l), solver_of(r)))
            return l;
    return r;
}

static void put_work(FILE *out, const s24m_card *c)
{
    const record *end = c->records + c->count;
    fputs("| constraints | solver | matrices | zeros |\n|---|---|---|---|\n", out);
    for (const record *r = c->records; r < end; r++) {
        double zeros = 0, size = 0;
        int count = 0;
        if (leader(c, r) != r)
            continue;
        for (const record *o = r; o < end; o++)
            if (leader(c, o) == r) {
                zeros += o->number[RECORD_ZEROS];
                size += o->number[RECORD_SIZE];
                count++;
            }
        fprintf(out, "| %s | %s | %d | ", r->text[RECORD_CONSTRAINTS], solver_of(r), count);
        fprintf(out, isnan(zeros / size) ? "not told |\n" : "%.2f %% |\n", 100 * zeros / size);
    }
}

/* What is not among the matrices. */
static void put_rest(FILE *out, const s24m_card *c)
{
    int left = (int)c->model->matrix_count - c->count;
    bool refined = c->made && c->made->settings.refine;
    if (c->form->tables)
        fprintf(out, "\nEmbedding and head are integers of 8 bits%s",
                refined ? "; nothing else is as it was" : ", norms are as they were");
    else
        fprintf(out, "\nEmbeddings%s head are as they were", refined ? " and" : ", norms and");
    if (left)
        fprintf(out, ", and so %s of the blocks' matrices (%d)", left > 1 ? "are some" : "is one",
                left);
    fputs(".", out);
}

/* How it was made. */
static void put_making(FILE *out, const s24_compression *c)
{
    int64_t own = c->settings.self.rows;
    fprintf(out, " Calibration: %lld rows of %lld tokens", (long long)c->sequences.count[0],
            (long long)c->sequences.length);
    if (own)
        fprintf(out, ", %lld of them the model's own with the weight %g", (long long)own,
                c->settings.self.weight);
    fprintf(out,
            ". Share of the dense model's outputs in\n"
            "what each matrix was aimed at: %g.\n",
            c->correct);
    if (c->settings.refine)
        fputs("The kept weights, norms and biases of each block were then trained together.\n",
              out);
}

static void put_errors(FILE *out, const s24m_card *c)
{
    const record *worst = NULL;
    double sum = 0;
    for (const record *r = c->records; r < c->records + c->count; r++) {
        sum += r->number[RECORD_LOSS];
        worst = !worst || r->number[RECORD_LOSS] > worst->number[RECORD_LOSS] ? r : worst;
    }
    if (!worst)
        return;
    fprintf(out,
            "Relative error of a matrix' outputs on the calibration rows, a ratio of squares: "
            "%.4g on average,\n%.4g at most (",
            sum / c->count, worst->number[RECORD_LOSS]);
    put_name(out, worst->text[RECORD_TENSOR]);
    fputs("). `records.jsonl` has all of them.\n", out);
}

static void put_size(FILE *out, uint64_t before, uint64_t after)
{
    fprintf(out, "| MiB of weights | %.1f | %.1f |\n", (double)before / 1048576,
            (double)after / 1048576);
}

static bool is_weights(const char *name)
{
    return *name != '.' &&
           (s24m_path_ends_with(name, ".safetensors") || s24m_path_ends_with(name, ".gguf") ||
            s24m_path_ends_with(name, ".s24"));
}

/* With what lies in folders below: parts, an adapter. */
static uint64_t size_of(const char *folder)
{
    uint64_t sum = 0;
    struct dirent *entry;
    struct stat s;
    DIR *open = opendir(folder);
    while (open && (entry = readdir(open))) {
        char *path = *entry->d_name == '.' ? NULL : s24m_path_join(folder, entry->d_name);
        if (path && !lstat(path, &s))
            sum += S_ISDIR(s.st_mode)          ? size_of(path)
                   : is_weights(entry->d_name) ? (uint64_t)s.st_size
                                               : 0;
        free(path);
    }
    if (open)
        closedir(open);
    return sum;
}

static void put_evaluations(FILE *out, const s24_compression *c)
{
    static const char option[] = "--eval "; /* which the program puts in front */
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++) {
        bool hidden = !isnan(e->hidden);
        if (!hidden && (isnan(e->before) || isnan(e->after)))
            continue;
        fputs(hidden ? "| relative error of the last hidden states on " : "| perplexity on ", out);
        put_name(out, s24m_path_name(!strncmp(e->name, option, sizeof option - 1)
                                         ? e->name + sizeof option - 1
                                         : e->name));
        if (hidden)
            fprintf(out, " | 0 | %.4g |\n", e->hidden);
        else
            fprintf(out, " | %.3f | %.3f |\n", e->before, e->after);
    }
}

static void put_figures(FILE *out, const s24m_card *c, const char *folder, bool measured)
{
    uint64_t before = 0;
    for (const origin_file *f = c->origin->files; f < c->origin->files + c->origin->count; f++)
        before += is_weights(s24m_path_name(f->path)) ? (uint64_t)f->state.st_size : 0;
    fputs("\n## Figures\n\n| | before | after |\n|---|---|---|\n", out);
    put_size(out, before, size_of(folder));
    if (measured && c->made)
        put_evaluations(out, c->made);
    fputs("\n", out);
    if (c->made)
        put_errors(out, c);
}

static void put_recipe(FILE *out, const s24_compression *c)
{
    if (!*c->recipe)
        return;
    fputs("\n## How to make it again\n\n    sparse24 compress --recipe recipe.txt --out FOLDER\n\n"
          "gives the same weights with the same version, BLAS and instruction set. `recipe.txt` "
          "says:\n\n    ",
          out);
    for (const char *s = c->recipe; *s; s++)
        fputs(*s == '\n' && s[1] ? "\n    " : (char[]){*s, 0}, out);
}

static void put_licence(FILE *out, const s24m_card *c)
{
    char licence[200];
    find_licence(c, licence, sizeof licence);
    fputs("\n## Licence\n\n", out);
    if (*licence) {
        fputs("That of the source, which names ", out);
        put_name(out, licence);
        fputs(".", out);
    } else {
        fputs("That of the source, whose files do not name one.", out);
    }
    fputs(source_card(c) ? " The source's card is `README.source.md`.\n" : "\n", out);
}

/* ---- All of it ---- */

static void put_card(FILE *out, const s24m_card *c, const char *folder, bool measured)
{
    const origin_file *card = source_card(c);
    int64_t parameters = 0;
    fputs("---\n", out);
    if (card)
        put_front(out, card->path);
    fputs("tags:\n- sparse24\n---\n\n# ", out);
    put_source_name(out, c);
    fputs(c->made ? ", compressed\n\n" : ", in another form\n\n", out);
    s24_model_int(c->handle, "parameters", &parameters);
    fprintf(out, "Architecture %s, %.4g million parameters; made by sparse24 %s.\n\n",
            c->model->config.architecture, 1e-6 * (double)parameters, s24_version());
    if (!c->made)
        fprintf(out,
                "Written by `sparse24 export %s`: the same matrices, nothing solved or rounded "
                "again.\n\n",
                c->form->option);
    put_work(out, c);
    put_rest(out, c);
    if (c->made)
        put_making(out, c->made);
    else
        fputs("\n", out);
    put_figures(out, c, folder, measured);
    if (c->made)
        put_recipe(out, c->made);
    put_licence(out, c);
}

char *s24m_card_write(const s24m_card *c, const char *folder, bool measured)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    put_card(out, c, folder, measured);
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

char *s24m_card_text(const s24_compression *c, const char *folder, bool measured)
{
    const s24m_card made = {.handle = c->handle,
                            .model = c->model,
                            .origin = &c->origin,
                            .records = c->records,
                            .count = c->count,
                            .form = c->settings.form,
                            .made = c};
    return s24m_card_write(&made, folder, measured);
}

bool s24m_card_measured(const s24_compression *c)
{
    char *was = s24m_card_text(c, c->out, false), *text = s24m_card_text(c, c->out, true);
    bool done = was && text && s24m_beside_replace(c->out, CARD, was, text);
    free(was);
    free(text);
    return done;
}

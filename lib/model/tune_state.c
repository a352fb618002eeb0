#include "tune_state.h"
#include "hash.h"
#include "identity.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS "settings"
#define STATE "state"

/* Arrays of a parameter; the gradient is 0 behind an epoch. */
enum { ARRAYS = 4 };
static const char *const arrays[ARRAYS] = {"values", "mean", "square", "best"};

static float *array_of(const s24m_parameter *p, int which)
{
    return (float *[]){p->values, p->mean, p->square, p->best}[which];
}

static void name_of(const s24m_parameter *p, int which, char name[400])
{
    snprintf(name, 400, "%.380s.%s", p->name, arrays[which]);
}

static s24_mat view_of(const s24m_parameter *p, int which)
{
    s24_mat view = {0};
    s24_mat_rowmajor(&view, array_of(p, which), 1, p->count, S24_F32);
    return view;
}

static uint64_t hash_all(const s24m_adam *a)
{
    uint64_t sum = HASH_BEGIN;
    for (const s24m_parameter *p = a->parameters; p < a->parameters + a->count; p++)
        for (int i = 0; i < ARRAYS; i++)
            sum = hash(sum, array_of(p, i), (size_t)p->count * sizeof(float));
    return sum;
}

/* ---- Writing ---- */

static bool put_all(s24_file *file, const s24m_adam *a)
{
    char name[400];
    bool done = true;
    for (const s24m_parameter *p = a->parameters; done && p < a->parameters + a->count; p++)
        for (int i = 0; done && i < ARRAYS; i++) {
            s24_mat view = view_of(p, i);
            name_of(p, i, name);
            done = s24m_good(s24_file_put(file, name, &view, NULL, 2, NULL), "%s", name);
        }
    return done;
}

bool s24m_tune_state_keep(const checkpoint *c, const s24m_training *t, double before)
{
    char text[300], *path = s24m_checkpoint_path(c, TUNE_STATE_FILE);
    s24_file *file = NULL;
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64 " %a %a %a %a %016" PRIx64,
             t->epoch, t->adam.step, t->halvings, t->adam.rate, t->best, t->last, before,
             hash_all(&t->adam));
    bool done = path &&
                s24m_good(s24_file_create(c->ctx, path, "safetensors", &file), "%s", path) &&
                s24m_good(s24_file_set_meta(file, SETTINGS, c->settings), "%s", path) &&
                s24m_good(s24_file_set_meta(file, STATE, text), "%s", path) &&
                put_all(file, &t->adam) && s24m_good(s24_file_commit(file), "%s", path);
    s24_file_destroy(file);
    free(path);
    return done;
}

/* ---- Reading ---- */

static bool get_all(const s24_file *file, const s24m_adam *a)
{
    char name[400];
    bool done = true;
    for (const s24m_parameter *p = a->parameters; done && p < a->parameters + a->count; p++)
        for (int i = 0; done && i < ARRAYS; i++) {
            s24_mat view = view_of(p, i);
            name_of(p, i, name);
            done = s24_file_read(file, name, &view) == S24_OK;
        }
    return done;
}

/* Infinity among the numbers is read too. */
static bool get(const s24_file *file, s24m_training *t, double *before)
{
    const char *text = s24_file_meta(file, STATE);
    uint64_t sum = 0;
    int count = !text ? 0
                      : sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64 " %la %la %la %la %" SCNx64,
                               &t->epoch, &t->adam.step, &t->halvings, &t->adam.rate, &t->best,
                               &t->last, before, &sum);
    return count == 8 && get_all(file, &t->adam) && sum == hash_all(&t->adam);
}

bool s24m_tune_state_find(const checkpoint *c, s24m_training *t, double *before, bool *found)
{
    char *path = s24m_checkpoint_path(c, TUNE_STATE_FILE);
    s24_file *file = NULL;
    *found = path && !access(path, F_OK);
    bool done = path && (!*found || s24m_good(s24_file_open(c->ctx, path, &file), "%s", path));
    if (done && *found) {
        const char *theirs = s24_file_meta(file, SETTINGS);
        done =
            s24m_identity_same(c->folder, theirs ? theirs : "", c->settings) &&
            (get(file, t, before) ||
             s24m_wrong(S24_E_FORMAT,
                        "%s is damaged: remove it, then --resume begins the tuning again", path));
    }
    s24_file_destroy(file);
    free(path);
    return done;
}

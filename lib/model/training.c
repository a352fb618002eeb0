#include "training.h"
#include "random.h"
#include <math.h>
#include <stdlib.h>

enum { HALVINGS = 3 };

/* ---- Rows ---- */

int64_t s24m_training_guard(int64_t rows, int64_t own)
{
    int64_t given = rows > own ? rows - own : rows, share = (given + 15) / 16;
    int64_t least = given / 4 < 4 ? given / 4 : 4, guard = share > least ? share : least;
    return guard > 0 ? guard : 1;
}

int64_t s24m_training_epochs(int64_t asked, int64_t rows)
{
    return asked ? asked : rows > 256 ? 4 : 6;
}

bool s24m_training_split(s24m_training *t, int64_t rows, int64_t own, const char *what)
{
    int64_t given = rows > own ? rows - own : rows;
    t->guards = s24m_training_guard(rows, own);
    t->train = s24m_have(malloc((size_t)(3 * rows) * sizeof *t->train));
    if (!t->train)
        return false;
    t->guard = t->train + rows;
    t->order = t->guard + rows;
    for (int64_t row = 0; row < rows; row++)
        if (row >= given - t->guards && row < given)
            t->guard[row - (given - t->guards)] = row;
        else
            t->train[t->trains++] = row;
    return t->trains > 0 || s24m_wrong(S24_E_STATE,
                                       "%s: one row is too few: one is kept back, and another "
                                       "must be there to train on",
                                       what);
}

void s24m_training_close(s24m_training *t)
{
    s24m_adam_close(&t->adam);
    free(t->train);
    t->train = NULL;
}

/* ---- Epochs ---- */

static int64_t batch_of(const s24m_training *t)
{
    return t->trains < S24M_BATCH ? t->trains : S24M_BATCH;
}

/* Those that fill no batch wait for another epoch. */
static bool run_epoch(s24m_training *t, double *loss)
{
    int64_t batch = batch_of(t), batches = t->trains / batch;
    int64_t rows[S24M_BATCH];
    bool done = true;
    s24m_shuffle(t->seed, t->stream << 20 | (uint64_t)t->epoch, t->trains, t->order);
    *loss = 0;
    for (int64_t b = 0; done && b < batches; b++) {
        double mean = 0;
        for (int64_t i = 0; i < batch; i++)
            rows[i] = t->train[t->order[b * batch + i]];
        done = t->show(t->arg, (double)t->adam.step / (double)t->adam.steps) &&
               t->learn(t->arg, rows, batch, &mean) && s24m_adam_step(&t->adam);
        *loss += mean / (double)batches;
    }
    return done;
}

/* The best state is kept; what is worse than it, and than the epoch before, leads back to it. */
static void weigh(s24m_training *t, double met)
{
    if (met < t->best) {
        t->best = met;
        s24m_adam_keep(&t->adam);
    } else if (!(met <= t->last) && t->halvings < HALVINGS) {
        s24m_adam_return(&t->adam);
        t->adam.rate /= 2;
        t->halvings++;
    }
    t->last = met;
}

bool s24m_training_run(s24m_training *t)
{
    bool done = true;
    t->adam.steps = t->epochs * (t->trains / batch_of(t));
    if (!t->epoch)
        t->adam.rate = t->rate;
    done = s24m_curve_add(t->curve, NAN, t->last);
    while (done && t->epoch < t->epochs) {
        double loss = 0, met = 0;
        done = run_epoch(t, &loss) && t->judge(t->arg, &met);
        if (!done && s24_last_status() == S24_E_NUMERIC && t->adam.step > 1) {
            met = INFINITY; /* the rate did that, not the weights */
            done = true;
        }
        if (!done)
            return false;
        weigh(t, met);
        t->epoch++;
        done = s24m_curve_add(t->curve, loss, met) && (!t->keep || t->keep(t->arg, loss, met));
    }
    return done;
}

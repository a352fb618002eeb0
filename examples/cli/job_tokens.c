/* What a compression is calibrated and measured on: texts, rows of ids, rows of the model's own. */
#include "job.h"
#include "message.h"
#include "tokens.h"
#include <string.h>
#include <unistd.h>

/* What is taken is a copy. */
static bool add_tokens(job *j, const char *what, const char *text, int64_t rows,
                       s24_status (*add)(s24_compression *, const s24_mat *, const char *))
{
    tokens t = {0};
    bool done = tokens_open(&t, j->model, j->a, what, text, rows) &&
                (add(j->work, &t.ids, t.name) == S24_OK || fail("%s", s24_last_error()));
    tokens_close(&t);
    return done;
}

/* "self:128*0.25", unless that is a file. */
static const char *own_rows(const char *calib)
{
    bool own = !strncmp(calib, "self:", 5) && access(calib, F_OK);
    return own ? calib + 5 : NULL;
}

static bool add_calibration(job *j)
{
    const args *a = j->a;
    const char *own = NULL, *given = NULL, *text;
    for (int i = 0; i < a->calibs.count; i++) {
        const char **place = own_rows(a->calibs.text[i]) ? &own : &given;
        text = own_rows(a->calibs.text[i]);
        if (*place)
            return fail("--calib %s: there is one already", a->calibs.text[i]);
        *place = text ? text : a->calibs.text[i];
    }
    if (own && a->no_self)
        return fail("--calib self:%s: contradicts --no-self", own);
    s24_status status = own ? s24_compression_set_str(j->work, "own", own) : S24_OK;
    if (!status && !given)
        status = s24_compression_set_int(j->work, "own_length", a->context);
    return (status == S24_OK || fail("%s", s24_last_error())) &&
           (!given || add_tokens(j, "--calib", given, a->rows, s24_compression_set_calibration));
}

bool job_add_tokens(job *j)
{
    const args *a = j->a;
    bool done = tokens_choose(j->model, a) && add_calibration(j);
    for (int i = 0; done && i < a->eval.count; i++)
        done =
            add_tokens(j, "--eval", a->eval.text[i], a->eval_rows, s24_compression_add_evaluation);
    return done;
}

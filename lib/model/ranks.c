#include "ranks.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 600, STRIP = 1 << 22 }; /* an error's text; floats that are summed at once */

/* ---- Who is who ---- */

s24m_share s24m_share_of(const s24m_ranks *r, int32_t rank, int64_t count)
{
    int64_t size = s24m_rank_count(r), each = count / size, more = count % size;
    int64_t before = rank < more ? rank : more;
    return (s24m_share){rank * each + before, each + (rank < more)};
}

s24m_share s24m_share_mine(const s24m_ranks *r, int64_t count)
{
    return s24m_share_of(r, s24m_rank(r), count);
}

bool s24m_ranks_open(s24m_ranks *r, const s24_group *group)
{
    s24m_ranks opened = {.host = {.size = 1}};
    if (group)
        opened.host = *group;
    if (group && (group->size < 1 || group->rank < 0 || group->rank >= group->size))
        return s24m_wrong(S24_E_ARG, "s24_model_set_group: rank %d of a group of %d",
                          (int)group->rank, (int)group->size);
    if (group && group->size > 1 && !(group->exchange && group->gather && group->broadcast))
        return s24m_wrong(S24_E_ARG,
                          "s24_model_set_group: exchange, gather and broadcast must be there");
    opened.answers = s24m_have(calloc((size_t)opened.host.size, sizeof *opened.answers));
    if (!opened.answers)
        return false;
    s24m_ranks_close(r);
    *r = opened;
    return true;
}

void s24m_ranks_close(s24m_ranks *r)
{
    free(r->answers);
    *r = (s24m_ranks){0};
}

void s24m_ranks_begin(s24m_ranks *r)
{
    r->parted = false;
    r->received = 0;
}

/* ---- The host's functions ---- */

/* Others may wait for ever where this one did not come through. */
static bool host_did(s24m_ranks *r, const char *what, int32_t answer)
{
    if (!answer)
        return true;
    r->parted = true;
    s24m_fail(S24_E_BACKEND, "rank %d of %d: the host's %s failed (%d)", (int)r->host.rank,
              (int)r->host.size, what, (int)answer);
    void (*end_all)(void *user, const char *text) = r->host.abort;
    if (end_all)
        end_all(r->host.user, s24_last_error());
    return false;
}

bool s24m_ranks_exchange(s24m_ranks *r, const void *send, void *receive, size_t bytes)
{
    r->received += (uint64_t)(r->host.size - 1) * bytes;
    return host_did(r, "exchange", r->host.exchange(r->host.user, send, receive, bytes));
}

bool s24m_ranks_gather(s24m_ranks *r, const void *send, void *receive, size_t bytes)
{
    r->received += (uint64_t)(r->host.size - 1) * bytes;
    return host_did(r, "gather", r->host.gather(r->host.user, send, receive, bytes));
}

bool s24m_ranks_broadcast(s24m_ranks *r, void *data, size_t bytes, int32_t root)
{
    r->received += r->host.rank == root ? 0 : bytes;
    return host_did(r, "broadcast", r->host.broadcast(r->host.user, data, bytes, root));
}

/* ---- Agreement ---- */

static int32_t first_to_fail(const s24m_ranks *r)
{
    int32_t rank = 0;
    while (rank < r->host.size && !r->answers[rank])
        rank++;
    return rank;
}

/* A cancelled run is no rank's fault. */
static void take_error(s24m_ranks *r, int32_t rank, const char *text)
{
    s24_status status = r->answers[rank];
    if (status == S24_E_CANCELLED)
        s24_fail(status, text);
    else
        s24m_fail(status, "rank %d of %d: %s", (int)rank, (int)r->host.size, text);
}

bool s24m_ranks_agree(s24m_ranks *r, bool done)
{
    char text[TEXT] = "";
    int32_t mine = s24m_status(done);
    if (!s24m_together(r))
        return done;
    if (r->parted || !s24m_ranks_gather(r, &mine, r->answers, sizeof mine))
        return false;
    int32_t rank = first_to_fail(r);
    if (rank == r->host.size)
        return true;
    r->parted = true;
    if (rank == r->host.rank)
        snprintf(text, sizeof text, "%s", s24_last_error());
    if (s24m_ranks_broadcast(r, text, sizeof text, rank))
        take_error(r, rank, text);
    return false;
}

bool s24m_ranks_tell(s24m_ranks *r, bool done, int64_t *value)
{
    if (!s24m_together(r))
        return done;
    return s24m_ranks_agree(r, done) && s24m_ranks_broadcast(r, value, sizeof *value, 0);
}

bool s24m_ranks_same(s24m_ranks *r, bool done, const char *what, int64_t value)
{
    int64_t theirs = value;
    done = s24m_ranks_tell(r, done, &theirs);
    if (!s24m_together(r))
        return done;
    return s24m_ranks_agree(
        r, done && (theirs == value ||
                    s24m_wrong(S24_E_STATE, "%s is %" PRId64 " here, %" PRId64 " on rank 0", what,
                               value, theirs)));
}

/* The first line in which two texts differ, of each at most so many characters. */
static bool same_lines(const char *ours, const char *theirs)
{
    enum { MOST = 200 };
    while (*ours || *theirs) {
        size_t n = strcspn(ours, "\n"), k = strcspn(theirs, "\n");
        if (n != k || strncmp(ours, theirs, n))
            return s24m_wrong(S24_E_STATE,
                              "the ranks do not do the same: \"%.*s\" here, \"%.*s\" on rank 0",
                              (int)(n < MOST ? n : MOST), ours, (int)(k < MOST ? k : MOST), theirs);
        ours += n + (ours[n] != 0);
        theirs += k + (theirs[k] != 0);
    }
    return true;
}

bool s24m_ranks_same_text(s24m_ranks *r, bool done, const char *text)
{
    if (!s24m_together(r))
        return done;
    int64_t size = done ? (int64_t)strlen(text) + 1 : 0;
    done = s24m_ranks_tell(r, done, &size);
    char *theirs = done ? s24m_have(calloc((size_t)size, 1)) : NULL;
    if (theirs && !r->host.rank)
        memcpy(theirs, text, (size_t)size);
    done = s24m_ranks_agree(r, theirs != NULL) &&
           s24m_ranks_broadcast(r, theirs, (size_t)size, 0) && same_lines(text, theirs);
    free(theirs);
    return s24m_ranks_agree(r, done);
}

/* ---- Sums ---- */

bool s24m_ranks_sum(s24m_ranks *r, bool done, double *values, int64_t count)
{
    size_t bytes = (size_t)count * sizeof *values;
    if (!s24m_together(r))
        return done;
    double *all = done ? s24m_have(malloc((size_t)r->host.size * bytes + 1)) : NULL;
    done = s24m_ranks_agree(r, all != NULL) && s24m_ranks_gather(r, values, all, bytes);
    for (int64_t i = 0; done && i < count; i++) {
        values[i] = all[i];
        for (int32_t rank = 1; rank < r->host.size; rank++)
            values[i] += all[rank * count + i];
    }
    free(all);
    return done;
}

/* One strip: `piece` floats are this rank's to add. */
static bool sum_strip(s24m_ranks *r, float *values, int64_t count, float *send, float *receive)
{
    int64_t size = r->host.size, piece = (count + size - 1) / size;
    size_t bytes = (size_t)piece * sizeof *send;
    memcpy(send, values, (size_t)count * sizeof *send);
    memset(send + count, 0, (size_t)(size * piece - count) * sizeof *send);
    if (!s24m_ranks_exchange(r, send, receive, bytes))
        return false;
    for (int64_t i = 0; i < piece; i++) {
        double sum = receive[i];
        for (int64_t rank = 1; rank < size; rank++)
            sum += receive[rank * piece + i];
        send[i] = (float)sum;
    }
    if (!s24m_ranks_gather(r, send, receive, bytes))
        return false;
    memcpy(values, receive, (size_t)count * sizeof *send);
    return true;
}

bool s24m_ranks_sum_floats(s24m_ranks *r, bool done, float *values, int64_t count)
{
    int64_t strip = count < STRIP ? count : STRIP;
    if (!s24m_together(r))
        return done;
    size_t room = (size_t)(strip + r->host.size) * sizeof *values;
    float *send = done ? s24m_have(malloc(room)) : NULL;
    float *receive = send ? s24m_have(malloc(room)) : NULL;
    done = s24m_ranks_agree(r, receive != NULL);
    for (int64_t at = 0; done && at < count; at += strip)
        done = sum_strip(r, values + at, count - at < strip ? count - at : strip, send, receive);
    free(send);
    free(receive);
    return done;
}

bool s24m_ranks_gather_shares(s24m_ranks *r, bool done, void *items, int64_t count, size_t bytes)
{
    s24m_share most = s24m_share_of(r, 0, count), mine = s24m_share_mine(r, count);
    size_t piece = (size_t)most.count * bytes;
    if (!s24m_together(r))
        return done;
    char *all = done ? s24m_have(calloc((size_t)r->host.size + 1, piece + 1)) : NULL;
    char *own = all ? all + (size_t)r->host.size * piece : NULL;
    if (own)
        memcpy(own, (char *)items + (size_t)mine.first * bytes, (size_t)mine.count * bytes);
    done = s24m_ranks_agree(r, own != NULL) && s24m_ranks_gather(r, own, all, piece);
    for (int32_t rank = 0; done && rank < r->host.size; rank++) {
        s24m_share theirs = s24m_share_of(r, rank, count);
        memcpy((char *)items + (size_t)theirs.first * bytes, all + (size_t)rank * piece,
               (size_t)theirs.count * bytes);
    }
    free(all);
    return done;
}

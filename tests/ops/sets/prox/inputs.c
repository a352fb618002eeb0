/* Groups on which a proximal operator is hard to get right, by families. */
#include "inputs.h"
#include <math.h>

uint64_t any_bits(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15; /* splitmix64 */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

double any_number(uint64_t *state)
{
    return ((double)(any_bits(state) >> 11) + 0.5) * 0x1p-53;
}

static double gaussian(uint64_t *state)
{
    double radius = sqrt(-2 * log(any_number(state)));
    return radius * cos(6.283185307179586 * any_number(state));
}

static double in_range(uint64_t *state, double low, double high)
{
    return low + (high - low) * any_number(state);
}

/* Both signs, from 1e-9 to 0.1. */
static double small(uint64_t *state)
{
    double size = pow(10, in_range(state, -9, -1));
    return any_bits(state) & 1 ? size : -size;
}

const char *const family_names[FAMILIES] = {
    "gaussian",    "two equal",       "three equal",    "four equal",
    "zeros",       "y3 near y1 y2",   "near equal",     "lambda of any size",
    "double root", "many magnitudes", "from a minimum", "two minima",
};

static void equal(uint64_t *state, int count, double y[4])
{
    for (int i = 0; i < 4; ++i)
        y[i] = i < count ? (i ? y[0] : in_range(state, 0, 1.6)) : in_range(state, 0, 1.2);
}

static void gaussians(uint64_t *state, double scale, double y[4])
{
    for (int i = 0; i < 4; ++i)
        y[i] = scale * gaussian(state);
}

/* Two non-zeros are just stationary, or just not. */
static void edge(uint64_t *state, double y1, double y2, double y[4])
{
    y[0] = y1;
    y[1] = y2;
    y[2] = y1 * y2 * (1 + small(state));
    y[3] = any_bits(state) & 1 ? 0 : y[2] * any_number(state);
}

/* y = u + e2 of the others for a u of three or four non-zeros, the last often small. */
static void from_minimum(uint64_t *state, double y[4])
{
    double u[4] = {in_range(state, 0, 1), in_range(state, 0, 1), 0, 0};
    u[1] = any_bits(state) & 1 ? u[0] : u[1];
    u[2] = u[1] * pow(any_number(state), 3);
    u[3] = any_bits(state) & 1 ? 0 : u[2] * any_number(state);
    for (int i = 0; i < 4; ++i) {
        double a = u[(i + 1) % 4], b = u[(i + 2) % 4], c = u[(i + 3) % 4];
        y[i] = u[i] > 0 ? u[i] + a * b + c * (a + b) : any_number(state) * u[0] * u[1];
    }
}

/* Near the place where the best point jumps: three equal at (1 + sqrt 2) / 2, four equal and others
 * by scaling. */
static void two_minima(uint64_t *state, double y[4])
{
    double top = 1.2071067811865475 * (1 + small(state) / 10);
    for (int i = 0; i < 4; ++i)
        y[i] = i < 3 ? top : top * any_number(state);
    if (any_bits(state) & 1)
        for (int i = 0; i < 4; ++i)
            y[i] = top * (1 - 0.1 * i * any_number(state));
}

static void shuffle(uint64_t *state, double y[4])
{
    for (int i = 3; i > 0; --i) {
        int j = (int)(any_bits(state) % (uint64_t)(i + 1));
        double other = y[j];
        y[j] = y[i];
        y[i] = other;
    }
    for (int i = 0; i < 4; ++i)
        y[i] = any_bits(state) & 1 ? -y[i] : y[i];
}

void make_group(int family, uint64_t *state, double z[4], double *lambda)
{
    double angle = in_range(state, 0.2, 1.37), scale = in_range(state, 0.05, 1.5);
    int exponent = (int)(any_bits(state) % 9) - 4;
    if (family == 0)
        gaussians(state, scale, z);
    else if (family <= 3)
        equal(state, family + 1, z);
    else if (family == 4)
        equal(state, 1, z), z[any_bits(state) % 4] = 0,
                                                z[any_bits(state) % 4] *= any_bits(state) & 1;
    else if (family == 5)
        edge(state, in_range(state, 0, 1.3), in_range(state, 0, 1.3), z);
    else if (family == 6)
        for (int i = 0; i < 4; ++i)
            z[i] = scale * (1 + 0.1 * any_number(state));
    else if (family == 7)
        gaussians(state, pow(10, in_range(state, -12, 3)), z);
    else if (family == 8)
        edge(state, cos(angle) * (1 + small(state)), sin(angle), z);
    else if (family == 9)
        for (int i = 0; i < 4; ++i)
            z[i] = scale * pow(10, in_range(state, -8, 0));
    else if (family == 10)
        from_minimum(state, z);
    else
        two_minima(state, z);
    shuffle(state, z);
    *lambda = ldexp(1, exponent);
    for (int i = 0; i < 4; ++i)
        z[i] = ldexp(z[i], -exponent);
}

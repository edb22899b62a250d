/* fixture.h - a context and an error for the tests of one file, and what makes and frees them for each. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "support.h"

static st_ctx *ctx;
static st_err err;

static int setup(void **state)
{
    (void)state;
    return st_ctx_new(&ctx, &err) == ST_OK ? 0 : -1;
}
static int teardown(void **state)
{
    (void)state;
    st_ctx_free(ctx);
    return 0;
}

#endif

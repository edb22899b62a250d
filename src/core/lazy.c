/* lazy.c - libraries loaded at their first use. Layer: core. */
#include "lazy.h"

#include <dlfcn.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static st_status load(st_lazy *l, st_err *err)
{
    void *handle = NULL;
    for (size_t i = 0; !handle && l->files[i]; i++) handle = dlopen(l->files[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return st_fail(err, ST_IO, l->files[0], NULL, "%s is needed for this and could not be loaded; install it",
                       l->what);
    for (size_t i = 0; l->symbols[i]; i++) {
        l->functions[i] = dlsym(handle, l->symbols[i]);
        if (!l->functions[i]) {
            dlclose(handle);
            return st_fail(err, ST_IO, l->files[0], NULL, "%s lacks %s; install a newer one", l->what, l->symbols[i]);
        }
    }
    return ST_OK; /* stays loaded until the process ends */
}

st_status st_lazy_load(st_lazy *l, st_err *err)
{
    if (l->loaded) return ST_OK;
    pthread_mutex_lock(&lock);
    st_status s = l->loaded ? ST_OK : load(l, err);
    if (s == ST_OK) l->loaded = true;
    pthread_mutex_unlock(&lock);
    return s;
}

/* crash.h - for tests of saving: work in a child that may be killed, descriptors and memory that must not leak. */
#ifndef CRASH_H
#define CRASH_H

#include "support.h"
#include "sys.h"

/* Runs fn in a child process, where cmocka's asserts must not be used. */
pid_t child_start(int (*fn)(void *), void *arg);
/* Its return value, or 128 + the signal that ended it. */
int child_wait(pid_t pid);
int in_child(int (*fn)(void *), void *arg); /* both */
/* The same inside its own mount namespace with an empty tmpfs of `kib` KiB at `dir`; -1 when the system does not allow
 * that. */
int in_small_disk(const char *dir, int kib, int (*fn)(void *), void *arg);
/* Says on the TAP stream why something was not tested. */
void skipped(const char *why);

/* Open descriptors of this process. */
int open_fds(void);

/* Errors that a call is made to fail with; 0 = a short count. */
extern const int fault_errors[];
extern const int fault_error_count;
/* True when a save must survive this: a signal, or a short count. */
bool harmless(sys_call call, int errnum);
const char *call_name(sys_call call);

#endif

#ifndef OMEN_CUV_SHIM_H
#define OMEN_CUV_SHIM_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/// Marks every descriptor from `first` up close-on-exec, in one system call (Linux 5.11).
///
/// Returns 0, or -1 with errno. Swift cannot call the variadic syscall(2) itself.
static inline int omen_mark_close_on_exec(unsigned int first) {
    const unsigned int close_range_cloexec = 1U << 2;
    return (int)syscall(SYS_close_range, first, ~0U, close_range_cloexec);
}

/// Asks for SIGKILL when the thread that started this process ends (prctl(2)).
///
/// Returns 0, or -1 with errno. prctl(2) is variadic, too.
static inline int omen_end_with_parent(void) {
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

#endif

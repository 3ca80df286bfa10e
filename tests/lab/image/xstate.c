/*
 * Preloaded into the guest kernel's process. Its buffer for a CPU's extended state has a fixed
 * size; on CPUs with more state (AMX) the host refuses to set an incomplete one, and the kernel
 * dies at its first process. This completes each set from the state that the process has.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#define X86_XSTATE 0x202

typedef long (*ptrace_function)(int, pid_t, void *, void *);

long ptrace(enum __ptrace_request request, ...) {
    static ptrace_function next;
    static int incomplete;
    static char state[65536] __attribute__((aligned(64)));

    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (next == NULL) next = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || (long)address != X86_XSTATE)
        return next(request, pid, address, data);

    /* Most CPUs need no help, and each switch to a guest's process passes here. */
    if (!incomplete) {
        long result = next(request, pid, address, data);
        if (result == 0 || (errno != EINVAL && errno != EFAULT)) return result;
        incomplete = 1;
    }
    const struct iovec *part = data;
    struct iovec whole = {state, sizeof state};
    if (next(PTRACE_GETREGSET, pid, address, &whole) < 0) return -1;
    memcpy(state, part->iov_base, part->iov_len < whole.iov_len ? part->iov_len : whole.iov_len);
    return next(PTRACE_SETREGSET, pid, address, &whole);
}

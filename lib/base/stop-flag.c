/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/stop-flag.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool vmmig__stop_flag_init(struct vmmig__stop_flag *flag, vmmig_error **error)
{
    atomic_init(&flag->requested, false);
    flag->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (flag->event_fd < 0)
        return vmmig__fail_errno(error, errno, "creating an eventfd");
    return true;
}

void vmmig__stop_flag_destroy(struct vmmig__stop_flag *flag)
{
    if (flag->event_fd >= 0)
        close(flag->event_fd);
    flag->event_fd = -1;
}

void vmmig__stop_flag_request(struct vmmig__stop_flag *flag)
{
    uint64_t one = 1;

    if (atomic_exchange_explicit(&flag->requested, true, memory_order_acq_rel))
        return;
    /* The counter cannot overflow: it is written once. */
    while (write(flag->event_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

bool vmmig__stop_flag_is_requested(const struct vmmig__stop_flag *flag)
{
    return atomic_load_explicit(&flag->requested, memory_order_acquire);
}

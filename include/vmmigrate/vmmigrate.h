/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvmmigrate: live migration for any virtual machine monitor, in QEMU's
 * stream format.
 *
 * A machine (host.h) is what can be moved: blocks of memory (memory.h), devices
 * (device.h) and one table of host callbacks. A session (session.h) is one
 * migration of it, out or in, with its options (options.h), events (events.h)
 * and statistics (stats.h). version.h has the rules that hold everywhere.
 */
#ifndef VMMIGRATE_VMMIGRATE_H
#define VMMIGRATE_VMMIGRATE_H

#include <vmmigrate/channel.h>
#include <vmmigrate/device.h>
#include <vmmigrate/error.h>
#include <vmmigrate/events.h>
#include <vmmigrate/host.h>
#include <vmmigrate/memory.h>
#include <vmmigrate/options.h>
#include <vmmigrate/session.h>
#include <vmmigrate/stats.h>
#include <vmmigrate/version.h>

#endif

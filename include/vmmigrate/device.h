/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices: whatever has state beside memory and vCPUs.
 *
 * A device has a table of functions, a layout, or both. A layout is a list of
 * fields of a struct, which the library writes and reads by itself. With
 * save_iterate() a device is live: it sends state while the guest runs, and it
 * has neither a layout nor save_state(). Guest memory itself is a live device
 * inside the library.
 *
 * Numbers in the stream are big-endian. A section has no length there: load()
 * must read exactly what the saving function wrote.
 */
#ifndef VMMIGRATE_DEVICE_H
#define VMMIGRATE_DEVICE_H

#include <stddef.h>

#include <vmmigrate/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which section load() reads, by the function that wrote it. */
enum {
    /* save_setup() */
    VMMIG_PHASE_SETUP = 1,
    /* save_iterate(), save_postcopy_prepare() */
    VMMIG_PHASE_ITERATE = 2,
    /* save_complete() */
    VMMIG_PHASE_COMPLETE = 3,
    /* save_state() */
    VMMIG_PHASE_STATE = 4
};

/* What a field is. */
enum {
    VMMIG_U8 = 1,
    VMMIG_U16 = 2,
    VMMIG_U32 = 3,
    VMMIG_U64 = 4,
    VMMIG_I8 = 5,
    VMMIG_I16 = 6,
    VMMIG_I32 = 7,
    VMMIG_I64 = 8,
    /* One byte, 0 or 1; others are refused. */
    VMMIG_BOOL = 9,
    /* A struct with a layout of its own. */
    VMMIG_STRUCT = 10,
    /* Bytes that mean nothing: written as 0, skipped when read. */
    VMMIG_UNUSED = 11
};

/**
 * struct vmmig_field:
 * @name: of the member; for VMMIG_UNUSED "unused"
 * @kind: VMMIG_U8 to VMMIG_UNUSED
 * @since_version: the first version of the layout that has the field; 0: all
 * @offset_bytes: of the member, in its struct
 * @member_bytes: of the whole member: an array of numbers counts itself; of
 *   VMMIG_UNUSED how many bytes to skip
 * @nested: (nullable): the layout of a VMMIG_STRUCT, else NULL
 *
 * One row of a layout; VMMIG_FIELD() and its sisters write it.
 */
struct vmmig_field {
    const char *name;
    uint32_t kind;
    uint32_t since_version;
    uint32_t offset_bytes;
    uint32_t member_bytes;
    const struct vmmig_layout *nested;
};

/**
 * struct vmmig_layout:
 * @struct_size: sizeof(struct vmmig_layout)
 * @field_bytes: sizeof(struct vmmig_field): rows may grow
 * @version: what is written
 * @minimum_version: the oldest that can be read
 * @field_count: rows in @fields
 * @subsection_count: rows in @subsections
 * @fields: in the order of the stream
 * @subsections: (nullable): what follows the fields where it is needed; a side
 *   that reads one it does not know refuses the device
 * @name: (nullable): of a subsection: that of its parent, a slash, and its own;
 *   of the layout of a device NULL, or the name that tools show
 *
 * How the state of a struct lies in the stream. Layouts are not copied: they,
 * their rows and names live as long as the device.
 */
struct vmmig_layout {
    uint32_t struct_size;
    uint32_t field_bytes;
    uint32_t version;
    uint32_t minimum_version;
    uint32_t field_count;
    uint32_t subsection_count;
    const struct vmmig_field *fields;
    const struct vmmig_layout *const *subsections;
    const char *name;

    /**
     * is_needed:
     * @device: the struct
     *
     * Whether this subsection must be sent: when its fields differ from what
     * a reader who has never heard of it assumes. NULL: always.
     *
     * Thread:   the session's thread, mig/src/main; the host thread where the
     *           host has no lock()
     * Locks:    the host's
     * May:      read the device
     * Must not: change it; wait
     * Order:    guest stopped, just before the subsection's place in the stream
     * Since:    0.1
     */
    bool (*is_needed)(const void *device);
};

/* A row for `member` of the struct type `owner`. */
#define VMMIG_FIELD(kind, owner, member)                                       \
    VMMIG_FIELD_SINCE(0, kind, owner, member)

/* The same, for a member that versions before `version` do not have. */
#define VMMIG_FIELD_SINCE(version, kind, owner, member)                        \
    {                                                                          \
        #member, kind, version, (uint32_t)offsetof(owner, member),             \
            (uint32_t)sizeof(((owner *)0)->member), NULL                       \
    }

/* A row for a member that is a struct; `layout` is the address of its layout.
 * An array of structs has one row for each: states[0], states[1]. */
#define VMMIG_FIELD_STRUCT(owner, member, layout)                              \
    {                                                                          \
        #member, VMMIG_STRUCT, 0, (uint32_t)offsetof(owner, member),           \
            (uint32_t)sizeof(((owner *)0)->member), layout                     \
    }

/* A row for bytes without a member. */
#define VMMIG_FIELD_UNUSED(bytes)                                              \
    {                                                                          \
        "unused", VMMIG_UNUSED, 0, 0, bytes, NULL                              \
    }

/* A layout of the array `fields`. */
#define VMMIG_LAYOUT(version, minimum_version, fields)                         \
    {                                                                          \
        (uint32_t)sizeof(struct vmmig_layout),                                 \
            (uint32_t)sizeof(struct vmmig_field), version, minimum_version,    \
            (uint32_t)(sizeof(fields) / sizeof((fields)[0])), 0, fields, NULL, \
            NULL, NULL                                                         \
    }

/* The same with subsections, an array of `const struct vmmig_layout *`. */
#define VMMIG_LAYOUT_EXTENDED(version, minimum_version, fields, subsections)   \
    {                                                                          \
        (uint32_t)sizeof(struct vmmig_layout),                                 \
            (uint32_t)sizeof(struct vmmig_field), version, minimum_version,    \
            (uint32_t)(sizeof(fields) / sizeof((fields)[0])),                  \
            (uint32_t)(sizeof(subsections) / sizeof((subsections)[0])),        \
            fields, subsections, NULL, NULL                                    \
    }

/* A layout that is a subsection. */
#define VMMIG_SUBSECTION(name, version, minimum_version, fields, is_needed)    \
    {                                                                          \
        (uint32_t)sizeof(struct vmmig_layout),                                 \
            (uint32_t)sizeof(struct vmmig_field), version, minimum_version,    \
            (uint32_t)(sizeof(fields) / sizeof((fields)[0])), 0, fields, NULL, \
            name, is_needed                                                    \
    }

/**
 * struct vmmig_pending:
 * @struct_size: how much of the struct the library knows
 * @reserved: 0
 * @precopy_bytes: what can be sent while the guest runs
 * @postcopy_bytes: what may be sent after it runs on the other side; 0 unless
 *   the device has VMMIG_DEVICE_POSTCOPY
 * @stopcopy_bytes: what needs the guest stopped
 *
 * How much a live device still has to send.
 */
struct vmmig_pending {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t precopy_bytes;
    uint64_t postcopy_bytes;
    uint64_t stopcopy_bytes;
};

enum {
    /* The rest of a live device may come after the guest runs on the other
     * side. Means nothing in this release, which has no postcopy. */
    VMMIG_DEVICE_POSTCOPY = 1
};

/**
 * struct vmmig_device_ops:
 * @struct_size: sizeof(struct vmmig_device_ops)
 * @flags: VMMIG_DEVICE_..., OR-ed
 *
 * What a device can do. All functions may be NULL; each gets the `data` of its
 * struct vmmig_device_config as @device. "The session's thread" is mig/src/main
 * for a source and mig/dst/main for a destination.
 */
struct vmmig_device_ops {
    uint32_t struct_size;
    uint32_t flags;

    /**
     * is_active:
     * @device: the device
     *
     * Whether the device takes part in this migration as a live one. NULL: yes.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      read the device
     * Must not: wait; change its answer while the session runs
     * Order:    after save_prepare(), before each of the functions below
     * Since:    0.1
     */
    bool (*is_active)(void *device);

    /**
     * save_prepare:
     * @device: the device
     * @error: return location
     *
     * Gets ready to be saved, or says why it cannot be.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      refuse, and so fail the migration before anything was sent
     * Must not: wait for the peer or for a thread of the library
     * Order:    once per attempt, before every save_setup(); when it returned
     *           true save_cleanup() follows
     * Since:    0.1
     */
    bool (*save_prepare)(void *device, vmmig_error **error);

    /**
     * save_setup:
     * @device: the device
     * @out: the stream
     * @error: return location
     *
     * Begins a live device: writes what load() needs to know first.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's; the stream's header was written under the same hold
     * May:      write to @out
     * Must not: wait for another channel or for a thread of the library
     * Order:    once, when all channels are connected; save_cleanup() follows,
     *           however it ends
     * Since:    0.1
     */
    bool (*save_setup)(void *device, struct vmmig_writer *out,
                       vmmig_error **error);

    /**
     * save_query_pending:
     * @device: the device
     * @exact: false: an estimate that costs nothing; true: what can be known
     *   with some effort
     * @ret_pending: zeroed, with struct_size set
     * @error: return location
     *
     * How much there is still to send. NULL: nothing is known, and the device
     * is asked to iterate until it says that it is done.
     *
     * Thread:   the session's thread
     * Locks:    none
     * May:      take its own locks
     * Must not: take the host's lock; wait for the peer
     * Order:    after save_setup(), before each save_iterate()
     * Since:    0.1
     */
    bool (*save_query_pending)(void *device, bool exact,
                               struct vmmig_pending *ret_pending,
                               vmmig_error **error);

    /**
     * save_iterate:
     * @device: the device
     * @out: the stream
     * @budget_bytes: about how much to write in this call
     * @ret_done: true when the device has nothing left to send at this moment
     * @error: return location
     *
     * Sends a part while the guest runs.
     *
     * Thread:   the session's thread
     * Locks:    none: the device has its own
     * May:      write to @out, and so wait for the peer
     * Must not: take the host's lock
     * Order:    any number of times after save_setup(), before the stop
     * Since:    0.1
     */
    bool (*save_iterate)(void *device, struct vmmig_writer *out,
                         uint64_t budget_bytes, bool *ret_done,
                         vmmig_error **error);

    /**
     * save_postcopy_prepare:
     * @device: the device
     * @out: the stream
     * @error: return location
     *
     * Brings everything under way to its end before postcopy. Called by
     * postcopy only, which this release does not run yet.
     *
     * Thread:   the session's thread
     * Locks:    none
     * May:      write a part, wait for its own workers
     * Must not: leave anything under way that must be in place before the guest
     *           runs on the other side
     * Order:    once, guest running, after the last save_iterate(), before
     *           stop_guest(); not in a recovery
     * Since:    0.1
     */
    bool (*save_postcopy_prepare)(void *device, struct vmmig_writer *out,
                                  vmmig_error **error);

    /**
     * quiesce:
     * @device: the device
     * @error: return location
     *
     * Stops the device's own workers, at the boundary of a request: what was
     * begun is finished or put back, and nothing writes guest memory any more.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      block (it is downtime), mark memory dirty
     * Must not: wait for something that only the guest or the peer can give
     * Order:    after stop_guest(), before the last collect()
     * Since:    0.1
     */
    bool (*quiesce)(void *device, vmmig_error **error);

    /**
     * unquiesce:
     * @device: the device
     * @error: return location
     *
     * Lets the workers go on that quiesce() stopped.
     *
     * Thread:   the machine's host thread
     * Locks:    none
     * May:      block shortly
     * Must not: fail for a passing reason: the guest would stay stopped
     * Order:    source: after an attempt that failed, before start_guest()
     * Since:    0.1
     */
    bool (*unquiesce)(void *device, vmmig_error **error);

    /**
     * save_complete:
     * @device: the device
     * @out: the stream
     * @error: return location
     *
     * Sends the rest of a live device.
     *
     * Thread:   the session's thread
     * Locks:    none
     * May:      write to @out, and so wait for the peer
     * Must not: take the host's lock
     * Order:    once, guest stopped, after the last collect()
     * Since:    0.1
     */
    bool (*save_complete)(void *device, struct vmmig_writer *out,
                          vmmig_error **error);

    /**
     * resume_prepare:
     * @device: the device
     * @error: return location
     *
     * Finds out what to send again after a lost connection. Called by the
     * source in a recovery of postcopy only, which this release does not run
     * yet.
     *
     * Thread:   the session's thread
     * Locks:    none
     * May:      wait for the peer's answer
     * Must not: take the host's lock
     * Order:    once per recovery, when all channels are connected again
     * Since:    0.1
     */
    bool (*resume_prepare)(void *device, vmmig_error **error);

    /**
     * save_state:
     * @device: the device
     * @out: memory; it is sent when the host's lock has been released
     * @error: return location
     *
     * Writes the state of a simple device. A device with a layout needs this
     * only for what its layout cannot say: its bytes come after the layout's.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      write guest memory, if it marks it dirty
     * Must not: wait for the peer or for a thread of the library
     * Order:    once, guest stopped and all devices quiet, by priority
     * Since:    0.1
     */
    bool (*save_state)(void *device, struct vmmig_writer *out,
                       vmmig_error **error);

    /**
     * save_cleanup:
     * @device: the device
     *
     * Frees what saving needed.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      block shortly
     * Must not: assume that save_setup() was called or succeeded
     * Order:    once after each save_prepare() or save_setup(), however the
     *           session ends, and before it is seen to have ended
     * Since:    0.1
     */
    void (*save_cleanup)(void *device);

    /**
     * load_setup:
     * @device: the device
     * @error: return location
     *
     * Gets ready to be loaded, or says why it cannot be.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      allocate
     * Must not: wait for the peer or for a thread of the library
     * Order:    once, before the first load(); load_cleanup() follows, however
     *           it ends
     * Since:    0.1
     */
    bool (*load_setup)(void *device, vmmig_error **error);

    /**
     * switchover_start:
     * @device: the device
     * @error: return location
     *
     * The source says that it is about to send device state. Only a source
     * that sends this message causes the call: see the option peer.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      start to get ready for COMPLETE or STATE
     * Must not: wait for the peer or for a thread of the library
     * Order:    at most once, after the last ITERATE section, before the first
     *           COMPLETE or STATE section
     * Since:    0.1
     */
    bool (*switchover_start)(void *device, vmmig_error **error);

    /**
     * load_cleanup:
     * @device: the device
     *
     * Frees what loading needed.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      block shortly
     * Must not: assume that load_setup() succeeded
     * Order:    once after each load_setup(), however the session ends, and
     *           before it is seen to have ended
     * Since:    0.1
     */
    void (*load_cleanup)(void *device);

    /**
     * load:
     * @device: the device
     * @in: the stream, at the start of the device's bytes
     * @version: of the device that wrote them; within the range of its config
     * @error: return location
     *
     * Reads what a saving function wrote, exactly that, and keeps it;
     * vmmig_reader_get_phase() says which function it was. A device with a
     * layout needs this only for what save_state() wrote.
     *
     * Thread:   the session's thread
     * Locks:    none
     * May:      wait for bytes in @in
     * Must not: take the host's lock; change what the guest sees, which is
     *           post_load()'s to do; believe a number that it has not compared
     *           with a limit
     * Order:    SETUP, ITERATE ..., COMPLETE; or one STATE
     * Since:    0.1
     */
    bool (*load)(void *device, struct vmmig_reader *in, uint32_t version,
                 vmmig_error **error);

    /**
     * post_load:
     * @device: the device; the fields of its layout have just been set
     * @version: of the device that wrote the state
     * @error: return location
     *
     * Applies what was loaded, or says why it makes no sense.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      read guest memory
     * Must not: start workers, which activate() does; wait for the peer or for
     *           a thread of the library
     * Order:    once, after the device's last section, by priority; before the
     *           source is told that all is well
     * Since:    0.1
     */
    bool (*post_load)(void *device, uint32_t version, vmmig_error **error);

    /**
     * activate:
     * @device: the device
     * @error: return location
     *
     * Wires interrupts and doorbells, starts workers, kicks every queue and
     * injects one interrupt for each: a kick under way is not state.
     *
     * Thread:   the session's thread; the host thread where the host has no
     *           lock()
     * Locks:    the host's
     * May:      touch guest memory
     * Must not: wait for the guest, which does not run yet
     * Order:    once, by priority, after acquire_ownership(), before
     *           start_guest()
     * Since:    0.1
     */
    bool (*activate)(void *device, vmmig_error **error);
};

/**
 * struct vmmig_device_config:
 * @struct_size: sizeof(struct vmmig_device_config)
 * @instance_id: tells devices of one name apart; equal on both sides
 * @version: of what is written; 0: that of the layout
 * @minimum_version: the oldest that can be read; 0: that of the layout
 * @priority: devices of a higher number are saved, loaded and activated first,
 *   those of equal number in the order of registration
 * @flags: 0
 * @name: 1 to 255 bytes, unique in the machine together with @instance_id,
 *   equal on both sides; copied. "ram" is taken
 * @ops: (nullable): what it can do; copied
 * @layout: (nullable): its fields; not copied
 * @data: (nullable): first argument of its functions, and the struct that the
 *   layout describes
 * @free_data: (nullable): called exactly once with @data, when the device is
 *   removed, the machine is gone, or the call that took it fails
 *
 * A device: @ops, @layout or both.
 */
struct vmmig_device_config {
    uint32_t struct_size;
    uint32_t instance_id;
    uint32_t version;
    uint32_t minimum_version;
    int32_t priority;
    uint32_t flags;
    const char *name;
    const struct vmmig_device_ops *ops;
    const struct vmmig_layout *layout;
    void *data;
    vmmig_free_fn free_data;
};

/**
 * vmmig_machine_add_device:
 * @machine: the machine
 * @config: the device
 * @error: (nullable): return location
 *
 * Registers a device.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: (nullable): the device, valid until it is removed or the machine is
 *   gone; NULL with INVALID for a name, table or layout that will not do
 * Since:    0.1
 */
VMMIG_API struct vmmig_device *
vmmig_machine_add_device(struct vmmig_machine *machine,
                         const struct vmmig_device_config *config,
                         vmmig_error **error);

/**
 * vmmig_machine_remove_device:
 * @machine: the machine
 * @device: (transfer full): one of its devices
 * @error: (nullable): return location
 *
 * Removes a device. When the call fails the device stays.
 *
 * Thread:   any, inside callbacks only in a listener; refused with
 *   VMMIG_ERROR_BLOCKED while a session of the machine runs
 * Returns: true if the device is gone
 * Since:    0.1
 */
VMMIG_API bool vmmig_machine_remove_device(struct vmmig_machine *machine,
                                           struct vmmig_device *device,
                                           vmmig_error **error);

/**
 * vmmig_writer_put_u8:
 * @out: where to write; it keeps its first error, which fails the session
 * @value: the number
 *
 * Writes one byte.
 *
 * Thread:   the one whose callback was given @out, until it returns
 * Since:    0.1
 */
VMMIG_API void vmmig_writer_put_u8(struct vmmig_writer *out, uint8_t value);

/**
 * vmmig_writer_put_u16:
 * @out: where to write; it keeps its first error, which fails the session
 * @value: the number
 *
 * Writes two bytes, big-endian.
 *
 * Thread:   the one whose callback was given @out, until it returns
 * Since:    0.1
 */
VMMIG_API void vmmig_writer_put_u16(struct vmmig_writer *out, uint16_t value);

/**
 * vmmig_writer_put_u32:
 * @out: where to write; it keeps its first error, which fails the session
 * @value: the number
 *
 * Writes four bytes, big-endian.
 *
 * Thread:   the one whose callback was given @out, until it returns
 * Since:    0.1
 */
VMMIG_API void vmmig_writer_put_u32(struct vmmig_writer *out, uint32_t value);

/**
 * vmmig_writer_put_u64:
 * @out: where to write; it keeps its first error, which fails the session
 * @value: the number
 *
 * Writes eight bytes, big-endian.
 *
 * Thread:   the one whose callback was given @out, until it returns
 * Since:    0.1
 */
VMMIG_API void vmmig_writer_put_u64(struct vmmig_writer *out, uint64_t value);

/**
 * vmmig_writer_put_bytes:
 * @out: where to write; it keeps its first error, which fails the session
 * @bytes: copied or sent before the call returns
 * @length_bytes: how many
 *
 * Writes bytes as they are.
 *
 * Thread:   the one whose callback was given @out, until it returns
 * Since:    0.1
 */
VMMIG_API void vmmig_writer_put_bytes(struct vmmig_writer *out,
                                      const void *bytes, uint64_t length_bytes);

/**
 * vmmig_reader_get_u8:
 * @in: where to read
 * @ret_value: the number
 * @error: (nullable): return location
 *
 * Reads one byte.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if it was there; false with IO or PROTOCOL at the end of the
 *   stream, and with CANCELLED
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_u8(struct vmmig_reader *in, uint8_t *ret_value,
                                   vmmig_error **error);

/**
 * vmmig_reader_get_u16:
 * @in: where to read
 * @ret_value: the number
 * @error: (nullable): return location
 *
 * Reads two bytes, big-endian.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if they were there
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_u16(struct vmmig_reader *in,
                                    uint16_t *ret_value, vmmig_error **error);

/**
 * vmmig_reader_get_u32:
 * @in: where to read
 * @ret_value: the number
 * @error: (nullable): return location
 *
 * Reads four bytes, big-endian.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if they were there
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_u32(struct vmmig_reader *in,
                                    uint32_t *ret_value, vmmig_error **error);

/**
 * vmmig_reader_get_u64:
 * @in: where to read
 * @ret_value: the number
 * @error: (nullable): return location
 *
 * Reads eight bytes, big-endian.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if they were there
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_u64(struct vmmig_reader *in,
                                    uint64_t *ret_value, vmmig_error **error);

/**
 * vmmig_reader_get_bytes:
 * @in: where to read
 * @ret_bytes: the bytes; undefined when the call fails
 * @length_bytes: how many, all of them
 * @error: (nullable): return location
 *
 * Reads bytes as they are.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if they were there
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_bytes(struct vmmig_reader *in, void *ret_bytes,
                                      uint64_t length_bytes,
                                      vmmig_error **error);

/**
 * vmmig_reader_get_u32_up_to:
 * @in: where to read
 * @maximum: the largest number that makes sense
 * @ret_value: the number, at most @maximum
 * @error: (nullable): return location
 *
 * Reads four bytes, big-endian: a length, a count, an index.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if the number is within its limit; false with PROTOCOL and both
 *   numbers if it is not
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_get_u32_up_to(struct vmmig_reader *in,
                                          uint32_t maximum, uint32_t *ret_value,
                                          vmmig_error **error);

/**
 * vmmig_reader_expect_u32:
 * @in: where to read
 * @expected: what this side has
 * @what: for the message: "number of chunks"
 * @error: (nullable): return location
 *
 * Reads four bytes, big-endian, which must be equal on both sides.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: true if they are equal; false with INCOMPATIBLE, @what and both
 *   numbers if they are not
 * Since:    0.1
 */
VMMIG_API bool vmmig_reader_expect_u32(struct vmmig_reader *in,
                                       uint32_t expected, const char *what,
                                       vmmig_error **error);

/**
 * vmmig_reader_get_phase:
 * @in: where to read
 *
 * Which function wrote what comes now.
 *
 * Thread:   the one whose callback was given @in, until it returns
 * Returns: VMMIG_PHASE_...; in load_vcpu() VMMIG_PHASE_STATE
 * Since:    0.1
 */
VMMIG_API uint32_t vmmig_reader_get_phase(const struct vmmig_reader *in);

#ifdef __cplusplus
}
#endif

#endif

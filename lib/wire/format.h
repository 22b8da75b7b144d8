/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every number of the stream, written out with its value. The chapters named
 * here are those of docs/wire-format.md. Limits are ours unless said otherwise:
 * a peer cannot make us allocate more than they allow.
 */
#ifndef VMMIG_WIRE_FORMAT_H
#define VMMIG_WIRE_FORMAT_H

/* File header: chapter 1.1. */
#define VMMIG__FILE_MAGIC UINT32_C(0x5145564d) /* "QEVM" */
#define VMMIG__FILE_VERSION UINT32_C(3)
#define VMMIG__FILE_HEADER_BYTES 8

/* First byte of a record: chapter 1.2. */
enum vmmig__record_type {
    VMMIG__RECORD_EOF = 0x00,
    VMMIG__RECORD_START = 0x01,
    VMMIG__RECORD_PART = 0x02,
    VMMIG__RECORD_END = 0x03,
    VMMIG__RECORD_FULL = 0x04,
    VMMIG__RECORD_SUBSECTION = 0x05,    /* only inside a body */
    VMMIG__RECORD_DESCRIPTION = 0x06,   /* only after EOF */
    VMMIG__RECORD_CONFIGURATION = 0x07, /* only after the file header */
    VMMIG__RECORD_COMMAND = 0x08,
    VMMIG__RECORD_FOOTER = 0x7e, /* only after a body */
};

/* A name is a byte of length and 1..255 bytes; ours end in a zero. */
#define VMMIG__NAME_BYTES 256

/* CONFIGURATION: chapter 1.4. */
#define VMMIG__MAX_MACHINE_NAME_BYTES 255
#define VMMIG__MAX_CAPABILITIES 64
#define VMMIG__CONFIGURATION_SUBSECTION_VERSION 1
#define VMMIG__LEGACY_PAGE_BITS 12 /* what a stream that says nothing means */
#define VMMIG__UUID_BYTES 16
#define VMMIG__CONFIGURATION_PAGE_BITS "configuration/target-page-bits"
#define VMMIG__CONFIGURATION_CAPABILITIES "configuration/capabilities"
#define VMMIG__CONFIGURATION_UUID "configuration/uuid"
#define VMMIG__CAPABILITY_IGNORE_SHARED "x-ignore-shared"
#define VMMIG__CAPABILITY_MAPPED_RAM "mapped-ram"

/* Description: chapter 1.5. A large VM's is some 100 KiB. */
#define VMMIG__MAX_DESCRIPTION_BYTES (UINT32_C(64) << 20)

/* RAM: chapter 2. */
#define VMMIG__RAM_SECTION_NAME "ram"
#define VMMIG__RAM_SECTION_VERSION 4
#define VMMIG__RAM_ZERO 0x002
#define VMMIG__RAM_MEM_SIZE 0x004
#define VMMIG__RAM_PAGE 0x008
#define VMMIG__RAM_EOS 0x010
#define VMMIG__RAM_CONTINUE 0x020 /* goes with one of the others */
#define VMMIG__RAM_XBZRLE 0x040
#define VMMIG__RAM_HOOK 0x080
#define VMMIG__RAM_COMPRESS_PAGE 0x100
#define VMMIG__RAM_MULTIFD_FLUSH 0x200
#define VMMIG__RAM_WORD_BYTES 8
#define VMMIG__MAX_BLOCKS 4096

/* Device sections: chapter 3. */
#define VMMIG__MAX_LAYOUT_DEPTH 16
#define VMMIG__MAX_LAYOUT_FIELDS 65536
#define VMMIG__MAX_SUBSECTIONS 256                    /* of one layout */
#define VMMIG__MAX_FIELD_BYTES 4096                   /* of a row of a layout */
#define VMMIG__MAX_DEVICE_BYTES (UINT32_C(256) << 20) /* of one struct */

/* Commands: chapter 4. */
enum vmmig__command_number {
    VMMIG__COMMAND_OPEN_RETURN_PATH = 1,
    VMMIG__COMMAND_PING = 2,
    VMMIG__COMMAND_POSTCOPY_ADVISE = 3,
    VMMIG__COMMAND_POSTCOPY_LISTEN = 4,
    VMMIG__COMMAND_POSTCOPY_RUN = 5,
    VMMIG__COMMAND_POSTCOPY_RAM_DISCARD = 6,
    VMMIG__COMMAND_PACKAGED = 7,
    VMMIG__COMMAND_ENABLE_COLO = 8,
    VMMIG__COMMAND_POSTCOPY_RESUME = 9,
    VMMIG__COMMAND_RECV_BITMAP = 10,
    VMMIG__COMMAND_SWITCHOVER_START = 11,
};
#define VMMIG__MAX_PACKAGE_BYTES (UINT32_C(256) << 20)
#define VMMIG__DISCARD_VERSION 0
#define VMMIG__DISCARD_RANGES 12 /* how many QEMU puts into one command */

/* Replies, on the return path: chapter 5. */
enum vmmig__reply_type {
    VMMIG__REPLY_SHUT = 1,
    VMMIG__REPLY_PONG = 2,
    VMMIG__REPLY_REQ_PAGES_ID = 3,
    VMMIG__REPLY_REQ_PAGES = 4,
    VMMIG__REPLY_RECV_BITMAP = 5,
    VMMIG__REPLY_RESUME_ACK = 6,
    VMMIG__REPLY_SWITCHOVER_ACK = 7,
    VMMIG__REPLY_REASON = 0x8001, /* ours: chapter 5.4 */
};
#define VMMIG__MAX_REPLY_BYTES 512 /* QEMU's limit: its buffer */
#define VMMIG__RESUME_ACK_VALUE UINT32_C(1)
#define VMMIG__RECV_BITMAP_END UINT64_C(0x0123456789abcdef)

#endif

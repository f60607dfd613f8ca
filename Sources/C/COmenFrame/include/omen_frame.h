/// The header of a frame and the head of a message in it, byte by byte.
///
/// It is drawn in C because a C compiler can prove its layout: a field that moves, a gap between
/// two fields, or a size that does not add up fails an assertion below, and so the build.
///
/// Numbers are little-endian. What each field is for stands in `FrameHeader.swift` and
/// `MessageHead.swift`, and what a receiver does with it in `docs/PROTOCOL.md`.
#ifndef OMEN_FRAME_H
#define OMEN_FRAME_H

#include <stddef.h>
#include <stdint.h>

/// Fixed part of every frame.
struct omen_frame_header {
    uint32_t magic;
    uint16_t version;
    uint16_t message_count;
    uint32_t body_byte_count;
    uint32_t body_checksum;
    uint64_t cluster_high;
    uint64_t cluster_low;
    uint64_t epoch;
    uint64_t reserved[2];
    uint32_t shard;
    uint32_t header_checksum;
};

/// Fixed part of every message in a frame.
struct omen_message_head {
    uint32_t byte_count;
    uint16_t kind;
    uint16_t flags;
    uint64_t request_id;
};

/// Bytes of a field.
#define OMEN_FRAME_SIZE(type, field) sizeof(((struct type *)0)->field)

/// Where each field begins: named once, for the documents, the peers in other languages and the
/// assertions.
enum {
    omen_frame_magic_offset = 0,
    omen_frame_version_offset = 4,
    omen_frame_message_count_offset = 6,
    omen_frame_body_byte_count_offset = 8,
    omen_frame_body_checksum_offset = 12,
    omen_frame_cluster_high_offset = 16,
    omen_frame_cluster_low_offset = 24,
    omen_frame_epoch_offset = 32,
    omen_frame_reserved_offset = 40,
    omen_frame_shard_offset = 56,
    omen_frame_header_checksum_offset = 60,
    /// The last field ends where the header does.
    omen_frame_header_byte_count =
        omen_frame_header_checksum_offset + OMEN_FRAME_SIZE(omen_frame_header, header_checksum),
};

enum {
    omen_message_byte_count_offset = 0,
    omen_message_kind_offset = 4,
    omen_message_flags_offset = 6,
    omen_message_request_id_offset = 8,
    /// The last field ends where the head does.
    omen_message_head_byte_count =
        omen_message_request_id_offset + OMEN_FRAME_SIZE(omen_message_head, request_id),
};

/// A field begins at its named offset, which is where the field before it ends.
#define OMEN_FRAME_FOLLOWS(type, prefix, previous, field)                                          \
    _Static_assert(offsetof(struct type, field) == prefix##_##field##_offset,                      \
                   #field " is not at its offset");                                                \
    _Static_assert(prefix##_##field##_offset ==                                                    \
                       prefix##_##previous##_offset + OMEN_FRAME_SIZE(type, previous),             \
                   "there is a gap between " #previous " and " #field)

_Static_assert(offsetof(struct omen_frame_header, magic) == omen_frame_magic_offset,
               "the magic is not the first field");
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, magic, version);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, version, message_count);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, message_count, body_byte_count);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, body_byte_count, body_checksum);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, body_checksum, cluster_high);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, cluster_high, cluster_low);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, cluster_low, epoch);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, epoch, reserved);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, reserved, shard);
OMEN_FRAME_FOLLOWS(omen_frame_header, omen_frame, shard, header_checksum);
_Static_assert(sizeof(struct omen_frame_header) == omen_frame_header_byte_count,
               "there are bytes behind the last field of a header");
_Static_assert(omen_frame_header_byte_count == 64, "a header takes 64 bytes");

_Static_assert(offsetof(struct omen_message_head, byte_count) == omen_message_byte_count_offset,
               "the size of a message is not its first field");
OMEN_FRAME_FOLLOWS(omen_message_head, omen_message, byte_count, kind);
OMEN_FRAME_FOLLOWS(omen_message_head, omen_message, kind, flags);
OMEN_FRAME_FOLLOWS(omen_message_head, omen_message, flags, request_id);
_Static_assert(sizeof(struct omen_message_head) == omen_message_head_byte_count,
               "there are bytes behind the last field of a head");
_Static_assert(omen_message_head_byte_count == 16, "a head takes 16 bytes");

#undef OMEN_FRAME_FOLLOWS
#undef OMEN_FRAME_SIZE

#endif

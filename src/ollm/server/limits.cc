#include "ollm/server/limits.h"

namespace ollm::server {
namespace {

using L = ServerLimits;

constexpr Limit kLimits[] = {
    {"server", "head_bytes", L::kHeadBytes, "of a request's line and header"},
    {"server", "target_bytes", L::kTargetBytes, "of a request's path and query"},
    {"server", "header_fields", L::kFields, "of one request"},
    {"server", "connections", L::kConnections, "at once; further ones wait to be accepted"},
    {"server", "bodies_at_once", L::kBodiesAtOnce, "times the longest body, of all that is read"},
    {"server", "large_body_bytes", L::kLargeBodyBytes, "beyond which one is read at a time"},
    {"server", "unsent_bytes", L::kUnsentBytes, "of an answer, before its request is put aside"},
    {"server", "pipelined_bytes", L::kPipelinedBytes, "read behind a request that runs"},
    {"server", "read_ahead_bytes", L::kReadAheadBytes,
     "of headers and pipelined requests, of all connections"},
    {"server", "own_read_bytes", L::kOwnReadBytes, "of these, of each connection in any case"},
    {"server", "small_answer_bytes", L::kSmallAnswerBytes,
     "of an answer that takes no room from the others'"},
    {"server", "sessions", L::kSessions, "of all keys"},
    {"server", "session_name_bytes", L::kSessionNameBytes, "of the name of one"},
    {"server", "api_keys", L::kKeys, "of one server"},
    {"server", "api_key_bytes", L::kKeyBytes, "of one key"},
    {"server", "head_seconds", L::kHeadSeconds, "until a request's header is there"},
    {"server", "idle_seconds", L::kIdleSeconds, "of a connection between two requests"},
    {"server", "stall_seconds", L::kStallSeconds, "in which a client takes nothing"},
    {"server", "ping_seconds", L::kPingSeconds, "after which a silent stream gets a comment"},
    {"server", "linger_seconds", L::kLingerSeconds, "that a refused client is still read"},
    {"server", "body_bytes_per_second", L::kBodyBytesPerSecond, "at least, of a body"},
};

}  // namespace

std::span<const Limit> limits() { return kLimits; }

}  // namespace ollm::server

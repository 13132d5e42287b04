// From the protos' chats to the engine's conversations and back. Pure functions.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "engine/chat/chat_format.h"
#include "lastro/v1/generation.pb.h"

namespace lastro::services {

// What a chat template's strftime_now() reads: the machine's own clock and time zone.
absl::CivilSecond LocalNow();

// INVALID_ARGUMENT names the field that is over its limit, a tool without a name, arguments, parameters or variables
// that are no JSON, or a last message that cannot be gone on with.
absl::StatusOr<engine::chat::Conversation> ToConversation(const v1::Chat& chat);

// The reply as the assistant's message.
v1::ChatMessage ToMessage(const engine::chat::Reply& reply);

}  // namespace lastro::services

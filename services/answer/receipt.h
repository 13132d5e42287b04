// Receipts: what an answer was made from, and what is different when it is made again. Pure functions, thread-safe.
#pragma once

#include <string>

#include "lastro/v1/ask.pb.h"
#include "lastro/v1/retrieval.pb.h"

namespace lastro::services::answer {

// Lower-case hexadecimal SHA-256 of what an answer says: its text, its answerability, and of each claim whether it is
// supported and which bytes of which source it cites. Ids of chunks are no part of it: they change when a file is
// ingested again as it was.
std::string AnswerSha256(const v1::Answer& answer);

// Notes the store's commit, the models that searched and what was found. `found` is explained.
void NoteSearch(const v1::SearchResponse& found, v1::Receipt* receipt);

// Compares the receipt of an answer with that of one made now from the same request.
v1::ReplayReport CompareReceipts(const v1::Receipt& then, v1::Answer now);

}  // namespace lastro::services::answer

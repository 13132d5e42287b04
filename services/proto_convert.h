// Between the store's records and the protos. Towards protos nothing can fail; from protos everything is checked, for
// it may come from anybody: INVALID_ARGUMENT names the field. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lastro/v1/common.pb.h"
#include "lastro/v1/ingest.pb.h"
#include "lastro/v1/retrieval.pb.h"
#include "lastro/v1/store.pb.h"
#include "retrieval/chunk_store.h"
#include "retrieval/types.h"

namespace lastro::services {

// "" becomes "default".
std::string CollectionOrDefault(const std::string& name);

v1::Document ToProto(const retrieval::Document& document);
v1::Chunk ToProto(const retrieval::Chunk& chunk);  // its vector too, when it has one
v1::Collection ToProto(const retrieval::Collection& collection);
v1::SearchHit ToProto(const retrieval::SearchHit& hit);
v1::Filter ToProto(const retrieval::Filter& filter);
// Folder and sync, or the model of a re-embedding, are read from the job's request, a serialised FolderJob.
v1::Job ToProto(const retrieval::Job& job);
v1::VectorSet ToProto(const retrieval::VectorSet& set);
v1::Reembedding ToProto(const retrieval::Reembedding& reembedding);

absl::StatusOr<retrieval::Document> FromProto(const v1::Document& document);
absl::StatusOr<retrieval::Chunk> FromProto(const v1::Chunk& chunk);
absl::StatusOr<retrieval::Collection> FromProto(const v1::Collection& collection);
absl::StatusOr<retrieval::SearchHit> FromProto(const v1::SearchHit& hit);
absl::StatusOr<retrieval::Filter> FromProto(const v1::Filter& filter);
retrieval::VectorSet FromProto(const v1::VectorSet& set);
retrieval::Reembedding FromProto(const v1::Reembedding& reembedding);
absl::StatusOr<retrieval::Metadata> FromProto(const google::protobuf::Map<std::string, v1::MetadataValue>& metadata);

// A search without its vector and fingerprint; limits and defaults as retrieval.proto says.
absl::StatusOr<retrieval::SearchQuery> FromProto(const v1::SearchRequest& request);
v1::SearchRequest ToProto(const retrieval::SearchQuery& query);
v1::SearchExplanation ToProto(const retrieval::SearchTrace& trace);
retrieval::SearchTrace FromProto(const v1::SearchExplanation& explanation);

// A job as the store keeps it, both ways.
v1::StoredJob ToStoredProto(const retrieval::Job& job);
absl::StatusOr<retrieval::Job> FromStoredProto(const v1::StoredJob& stored);

// The segments of a chunk whose proto was checked, or made here.
std::vector<retrieval::SourceSegment> SegmentsFromProto(const v1::Chunk& chunk);

}  // namespace lastro::services

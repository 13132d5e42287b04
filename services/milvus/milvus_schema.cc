#include "services/milvus/milvus_schema.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "services/milvus/filter_expression.h"

namespace lastro::services {
namespace {

using milvus_api::CollectionSchema;
using milvus_api::FieldSchema;

constexpr int kMaxNameBytes = 256;
constexpr char kNothing[] = "nothing";
constexpr int kNothingDimension = 2;  // the least that Milvus takes
constexpr char kAnyIndex[] = "AUTOINDEX";
// As the local store's BM25.
constexpr char kBm25Params[] = "{\"bm25_k1\": 1.2, \"bm25_b\": 0.75}";

void AddParam(const std::string& key, const std::string& value, FieldSchema* field) {
  milvus_api::KeyValuePair* pair = field->add_type_params();
  pair->set_key(key);
  pair->set_value(value);
}

FieldSchema* AddField(const std::string& name, milvus_api::DataType type, CollectionSchema* schema) {
  FieldSchema* field = schema->add_fields();
  field->set_name(name);
  field->set_data_type(type);
  return field;
}

FieldSchema* AddText(const std::string& name, int max_bytes, CollectionSchema* schema) {
  FieldSchema* field = AddField(name, milvus_api::VARCHAR, schema);
  AddParam("max_length", absl::StrCat(max_bytes), field);
  return field;
}

void AddVectors(const std::string& name, int dimension, CollectionSchema* schema) {
  AddParam("dim", absl::StrCat(dimension), AddField(name, milvus_api::FLOAT_VECTOR, schema));
}

void AddFacets(CollectionSchema* schema) {
  FieldSchema* facets = AddField(kFacetsColumn, milvus_api::ARRAY, schema);
  facets->set_element_type(milvus_api::VARCHAR);
  AddParam("max_capacity", absl::StrCat(kMaxFacets), facets);
  AddParam("max_length", "2048", facets);
  AddField(kRangesColumn, milvus_api::JSON, schema);
  AddText(kFlatColumn, kMaxColumnBytes, schema);
}

void AddKey(CollectionSchema* schema) {
  AddText(kKey, static_cast<int>(kMaxKeyBytes), schema)->set_is_primary_key(true);
  AddText(kOwner, kMaxNameBytes, schema);
  AddText(kSubject, kMaxNameBytes, schema);
  AddField(kVersion, milvus_api::INT64, schema);
}

CollectionSchema RecordsSchema(const std::string& name) {
  CollectionSchema schema;
  schema.set_name(name);
  AddKey(&schema);
  AddField(kExtra, milvus_api::INT64, &schema);
  AddText(kBody, kMaxColumnBytes, &schema);
  AddFacets(&schema);
  AddVectors(kNothing, kNothingDimension, &schema);
  return schema;
}

CollectionSchema BlocksSchema(const std::string& name) {
  CollectionSchema schema;
  schema.set_name(name);
  AddKey(&schema);
  AddText(kData, kMaxColumnBytes, &schema);
  AddVectors(kNothing, kNothingDimension, &schema);
  return schema;
}

CollectionSchema ChunksSchema(const std::string& name, int dimension) {
  CollectionSchema schema;
  schema.set_name(name);
  AddField(kId, milvus_api::INT64, &schema)->set_is_primary_key(true);
  AddText(kDocument, kMaxNameBytes, &schema);
  AddField(kVersion, milvus_api::INT64, &schema);
  AddField(kOrdinal, milvus_api::INT64, &schema);
  AddText(kTextHash, kMaxNameBytes, &schema);
  AddText(kBody, kMaxColumnBytes, &schema);
  FieldSchema* terms = AddText(kTerms, kMaxColumnBytes, &schema);
  AddParam("enable_analyzer", "true", terms);
  AddParam("analyzer_params", "{\"tokenizer\": \"standard\"}", terms);
  AddText(kWords, kMaxColumnBytes, &schema);
  AddFacets(&schema);
  AddVectors(kVector, dimension, &schema);
  AddField(kSparse, milvus_api::SPARSE_FLOAT_VECTOR, &schema)->set_is_function_output(true);
  milvus_api::FunctionSchema* bm25 = schema.add_functions();
  bm25->set_name("bm25");
  bm25->set_type(milvus_api::BM25);
  bm25->add_input_field_names(kTerms);
  bm25->add_output_field_names(kSparse);
  return schema;
}

}  // namespace

std::string CollectionKey(const std::string& name) { return absl::StrCat("c/", Hex(name)); }
std::string CommitKey(const std::string& name) { return absl::StrCat("v/", Hex(name)); }
std::string RemovalKey(const std::string& name) { return absl::StrCat("r/", Hex(name)); }
std::string DocumentKey(const std::string& made, const std::string& uri) {
  return absl::StrCat("d/", made, "/", Hex(uri));
}
std::string JobKey(const std::string& id) { return absl::StrCat("j/", Hex(id)); }

absl::Status MilvusSchema::MakeUnlessThere(const CollectionSchema& schema) {
  LASTRO_ASSIGN_OR_RETURN(bool there, client_.HasCollection(schema.name()));
  if (!there) LASTRO_RETURN_IF_ERROR(client_.CreateCollection(schema, /*shards=*/1));
  if (there && client_.Load(schema.name()).ok()) return absl::OkStatus();
  // Without its index it cannot be loaded: whoever made the collection may be about to make that too, or was killed
  // before. Some servers refuse to make it a second time.
  const absl::Status indexed = client_.CreateIndex(schema.name(), kNothing, kAnyIndex, "L2", "{}");
  const absl::Status loaded = client_.Load(schema.name());
  return loaded.ok() || indexed.ok() ? loaded : indexed;
}

absl::Status MilvusSchema::Prepare() {
  LASTRO_RETURN_IF_ERROR(MakeUnlessThere(RecordsSchema(Records())));
  return MakeUnlessThere(BlocksSchema(Blocks()));
}

absl::Status MilvusSchema::MakeChunks(const std::string& made, int dimension) {
  const std::string name = Chunks(made);
  absl::Status made_whole = client_.CreateCollection(ChunksSchema(name, dimension), shards_);
  if (made_whole.ok()) made_whole = PrepareChunks(name);
  if (!made_whole.ok()) (void)client_.DropCollection(name);
  return made_whole;
}

absl::Status MilvusSchema::PrepareChunks(const std::string& name) {
  LASTRO_RETURN_IF_ERROR(client_.CreateIndex(name, kVector, kAnyIndex, "IP", "{}"));
  LASTRO_RETURN_IF_ERROR(client_.CreateIndex(name, kSparse, "SPARSE_INVERTED_INDEX", "BM25", kBm25Params));
  return client_.Load(name);
}

void AddNothing(MilvusRows* rows) { rows->AddVector(kNothing, std::vector<float>(kNothingDimension, 0.0f)); }

}  // namespace lastro::services

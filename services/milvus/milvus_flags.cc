#include "services/milvus/milvus_flags.h"

#include <cstdlib>
#include <string>

namespace lastro::services {

void AddMilvusFlags(CLI::App* app, MilvusOptions* options) {
  if (const char* token = std::getenv("LASTRO_MILVUS_TOKEN"); token != nullptr) options->token = token;
  app->add_flag("--milvus-tls", options->tls, "speak TLS with Milvus");
  app->add_option("--milvus-ca", options->tls_ca, "PEM file of the authorities to trust; default: the system's")
      ->check(CLI::ExistingFile);
  app->add_option("--milvus-database", options->database, "database of Milvus; default: its default one");
  app->add_option("--milvus-prefix", options->prefix, "of the collections' names in Milvus: another one, another store")
      ->capture_default_str();
  app->add_option("--milvus-shards", options->shards, "shards of collections that are made")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  app->add_option_function<std::string>(
         "--milvus-consistency",
         [options](const std::string& text) {
           absl::StatusOr<MilvusConsistency> level = ParseMilvusConsistency(text);
           if (!level.ok()) throw CLI::ValidationError("--milvus-consistency", std::string(level.status().message()));
           options->consistency = *level;
         },
         "what reads see: strong (default: all acknowledged writes), bounded or eventually")
      ->type_name("LEVEL");
}

}  // namespace lastro::services

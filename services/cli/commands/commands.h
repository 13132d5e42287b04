// Every subcommand of `lastro`: each function declares one with its options, examples and body.
#pragma once

#include "services/cli/command_set.h"

namespace lastro::services {

void AddAskCommand(CommandSet* set);
void AddBenchCommand(CommandSet* set);
void AddChatCommand(CommandSet* set);
void AddClusterCommand(CommandSet* set);
void AddCollectionsCommand(CommandSet* set);
void AddDocsCommand(CommandSet* set);
void AddDoctorCommand(CommandSet* set);
void AddEmbedCommand(CommandSet* set);
void AddEvalCommand(CommandSet* set);
void AddEvalCompareCommand(CommandSet* set, CLI::App* eval);
void AddGenerateCommand(CommandSet* set);
void AddIngestCommand(CommandSet* set);
void AddInspectCommand(CommandSet* set);
void AddJobsCommand(CommandSet* set);
void AddModelsCommand(CommandSet* set);
void AddModelsVerifyCommand(CommandSet* set, CLI::App* models);
void AddPerplexityCommand(CommandSet* set);
void AddQuantizeCommand(CommandSet* set);
void AddReembedCommand(CommandSet* set);
void AddReplayCommand(CommandSet* set);
void AddRerankCommand(CommandSet* set);
void AddSearchCommand(CommandSet* set);
void AddStoreCommand(CommandSet* set);
void AddTokenizeCommand(CommandSet* set);

}  // namespace lastro::services

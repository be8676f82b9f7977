"""The variables that Azure Pipelines sets: which of them exist in a run here, and which in `${{ }}`."""

_SET_HERE = """
Agent.BuildDirectory Agent.HomeDirectory Agent.Id Agent.JobName Agent.JobStatus Agent.MachineName Agent.Name Agent.OS
Agent.OSArchitecture Agent.TempDirectory Agent.ToolsDirectory Agent.WorkFolder Build.ArtifactStagingDirectory
Build.BinariesDirectory Build.BuildId Build.BuildNumber Build.BuildUri Build.DefinitionName Build.QueuedBy
Build.Reason Build.Repository.LocalPath Build.Repository.Name Build.Repository.Provider Build.Repository.Uri
Build.RequestedFor Build.SourceBranch Build.SourceBranchName Build.SourcesDirectory Build.SourceVersion
Build.SourceVersionMessage Build.StagingDirectory Common.TestResultsDirectory Environment.Name Pipeline.Workspace
System.AccessToken System.ArtifactsDirectory System.CollectionUri System.Debug System.DefaultWorkingDirectory
System.DefinitionId System.JobAttempt System.JobDisplayName System.JobId System.JobName System.PhaseName
System.PullRequest.PullRequestId System.PullRequest.SourceBranch System.PullRequest.TargetBranch
System.PullRequest.TargetBranchName System.StageAttempt System.StageDisplayName System.StageName
System.TeamFoundationCollectionUri System.TeamProject System.WorkFolder TF_BUILD
"""
_IN_TEMPLATES = """
Build.DefinitionName Build.QueuedBy Build.Reason Build.RequestedFor Build.SourceBranch Build.SourceBranchName
Build.SourceVersion System.CollectionUri System.DefinitionId System.TeamFoundationCollectionUri System.TeamProject
"""
_ONLY_IN_AZURE = """
Agent.ContainerMapping Build.ContainerId Build.DefinitionVersion Build.QueuedById Build.Repository.Clean
Build.Repository.Git.SubmoduleCheckout Build.Repository.ID Build.Repository.Tfvc.Workspace Build.RequestedForEmail
Build.RequestedForId Build.SourceTfvcShelveset Build.SourceVersionAuthor Build.TriggeredBy.BuildId
Build.TriggeredBy.BuildNumber Build.TriggeredBy.DefinitionId Build.TriggeredBy.DefinitionName
Build.TriggeredBy.ProjectID Checks.StageAttempt Environment.Id Environment.ResourceId Environment.ResourceName
Strategy.CycleName Strategy.Name System.CollectionId System.HostType System.PhaseAttempt System.PhaseDisplayName
System.PullRequest.IsFork System.PullRequest.PullRequestNumber System.PullRequest.SourceRepositoryURI
System.TeamProjectId
"""
_REFUSED_IN_TEMPLATES = """
Build.DefinitionVersion Build.QueuedById Build.RequestedForEmail Build.RequestedForId System.AccessToken
System.CollectionId System.HostType System.PullRequest.IsFork System.TeamProjectId
"""
SET_HERE = frozenset(_SET_HERE.split())
"""Variables of every run, of a job, or of a build validation; those that only the service has are refused."""
IN_TEMPLATES = frozenset(_IN_TEMPLATES.split())
"""Of these, the ones with Yes under "Available in templates?" in the vendor's table; the others are empty there."""
ONLY_IN_AZURE = frozenset(_ONLY_IN_AZURE.split())
"""Variables that the vendor's table lists and this agent does not set."""
REFUSED_IN_TEMPLATES = frozenset(_REFUSED_IN_TEMPLATES.split())
"""Variables with a value in Azure's `${{ }}`, but not here."""
PREFIXES = ("agent.", "build.", "checks.", "common.", "environment.", "pipeline.", "strategy.", "system.")

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
System.PullRequest.PullRequestId System.PullRequest.SourceBranch System.PullRequest.TargetBranch System.StageAttempt
System.StageDisplayName System.StageName System.TeamFoundationCollectionUri System.TeamProject System.WorkFolder
TF_BUILD
"""
_IN_TEMPLATES = """
Build.DefinitionName Build.QueuedBy Build.Reason Build.RequestedFor Build.SourceBranch Build.SourceBranchName
Build.SourceVersion System.CollectionUri System.DefinitionId System.TeamFoundationCollectionUri System.TeamProject
"""
SET_HERE = frozenset(_SET_HERE.split())
"""Variables of every run, of a job, or of a build validation; those that only the service has are refused."""
IN_TEMPLATES = frozenset(_IN_TEMPLATES.split())
"""Of these, the ones with Yes under "Available in templates?" in the vendor's table; the others are empty there."""
PREFIXES = ("agent.", "build.", "checks.", "common.", "environment.", "pipeline.", "strategy.", "system.")

// Short names for the types that are made from the API document.
import type { components } from './schema.gen';

type Schemas = components['schemas'];

export type Problem = Schemas['Problem'];
export type SessionView = Schemas['SessionView'];
/** A row, and when the page learned how long ago it was heard. */
export type ResourceRow = Schemas['ResourceRow'] & { heard_at?: string };
export type ResourceView = Schemas['ResourceView'];
export type ApplicationView = Schemas['ApplicationView'];
export type DeploymentView = Schemas['DeploymentView'];
export type UploadDone = Schemas['UploadDone'];
export type LogsRead = Schemas['LogsRead'];
export type CommandView = Schemas['CommandView'];
export type CallRecord = Schemas['CallRecord'];
export type Activity = Schemas['Activity'];
export type Explanation = Schemas['Explanation'];
export type PersonView = Schemas['PersonView'];
export type ApiTokenRow = Schemas['ApiTokenRow'];
export type JoinTokenRow = Schemas['JoinTokenRow'];
export type JoinTokenView = Schemas['JoinTokenView'];
export type NodeRow = Schemas['NodeRow'];
export type AuditRow = Schemas['AuditRow'];
export type BucketView = Schemas['BucketView'];
export type DatabaseView = Schemas['DatabaseView'];
export type ReplicaState = Schemas['ReplicaState'];
export type LayoutTold = Schemas['LayoutTold'];
export type HealsTold = Schemas['HealsTold'];
export type TransferView = Schemas['TransferView'];
export type TransferRecord = Schemas['TransferRecord'];
export type SqlSessionView = Schemas['SqlSessionView'];
export type Condition = Schemas['Condition'];
export type TopologyView = Schemas['TopologyView'];
export type OverviewView = Schemas['OverviewView'];
export type ConditionCounts = Schemas['ConditionCounts'];
export type NeedView = Schemas['NeedView'];
export type EventView = Schemas['EventView'];
export type Severity = Schemas['Severity'];
export type HistoryView = Schemas['HistoryView'];
export type LiveCalls = Schemas['LiveCalls'];
export type LiveResources = Schemas['LiveResources'];
export type Role = Schemas['Role'];
export type NodeKind = Schemas['NodeKind'];
export type AccessRule = Schemas['AccessRule'];

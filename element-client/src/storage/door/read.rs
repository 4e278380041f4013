//! What programs are told of objects, and where their bytes are.

use std::collections::BTreeMap;

use gridmart_fabric::ticket::BlockOperation;
use gridmart_schemas::{
    id::{NodeId, TransferId, VersionId},
    problem::{Code, Problem},
    role::Operation,
    wire::{
        storage::{
            BlockFault, LINES_MAX, ObjectCommitted, ObjectCopy, ObjectHeaders, ObjectList,
            ObjectOpen, ObjectOpened, ObjectView, ObjectsListed, STRIPES_MAX,
        },
        transfer::{TransferDirection, TransferDoor},
    },
};

use super::{StorageStream, grant::Part, write::object_key};
use crate::storage::{
    data::{Damage, DataReader, DataTarget, DataWriter},
    metadata::{
        Applied, Change, Condition, LayoutStripe, ListingRequest, ObjectKey, ObjectPut,
        ObjectVersion, Page, VersionChoice, is_own_header, query,
    },
    s3::is_encrypted,
    service::Service,
    transfers::{Cargo, Running},
};

impl StorageStream {
    pub(super) async fn on_object_open(&self, open: ObjectOpen) -> Result<ObjectOpened, Problem> {
        let ObjectOpen {
            bucket,
            key,
            version,
            from,
            stripes,
            to,
            transfer,
        } = open;
        let admitted = self
            .admit_moving(bucket, Operation::Read, Part::Keys(&key), transfer.as_ref())
            .await?;
        let choice = version.map_or(VersionChoice::Current, VersionChoice::Id);
        let object_key = object_key(&key)?;
        let limit = (stripes as usize).min(STRIPES_MAX);
        let read = admitted.service.read(move |connection| {
            let found = query::object_version(connection, bucket, &object_key, choice)?;
            let Some(object) = found.filter(|found| !found.is_marker) else {
                return Ok(None);
            };
            let layout = if limit == 0 || from >= object.size {
                Vec::new()
            } else {
                query::layout(connection, &object, from..object.size, limit)?.stripes
            };
            let missing = if limit == 0 {
                Some(query::blocks_missing(connection, &object)?)
            } else {
                None
            };
            Ok(Some((object, layout, missing)))
        });
        let (object, layout, missing) = read.await?.ok_or_else(|| absent(&key))?;
        if limit > 0 {
            readable(&object)?;
        }
        let mut payloads: BTreeMap<NodeId, u64> = BTreeMap::new();
        for stripe in &layout {
            for block in &stripe.blocks {
                *payloads.entry(block.host).or_default() += stripe.payload_length;
            }
        }
        // The blocks' headers name the version under which they were written.
        let written = object.id;
        // What has no bytes to be read is no transfer.
        let mark = if payloads.is_empty() {
            None
        } else {
            Some(self.getting(&admitted, &key, transfer, to.is_some())?)
        };
        let ticketed = (written, mark.map(|mark| mark.transfer), BlockOperation::Get);
        let hosts = self.doors(&admitted, ticketed, &payloads)?;
        if let Some(mark) = mark {
            let end = to.unwrap_or(u64::MAX).min(object.size);
            let reached = layout
                .last()
                .map_or(0, |last| last.start + last.data_length);
            self.se
                .goods
                .transfers
                .on_reached(mark, from, (reached, end));
        }
        Ok(ObjectOpened {
            transfer: mark,
            object: ObjectView {
                blocks_missing: missing,
                ..view_of(object)
            },
            stripes: layout.iter().map(LayoutStripe::view).collect(),
            hosts,
        })
    }

    pub(super) async fn on_list(&self, list: ObjectList) -> Result<ObjectsListed, Problem> {
        let ObjectList {
            bucket,
            prefix,
            delimiter,
            after,
            limit,
        } = list;
        let admitted = self
            .admit(bucket, Operation::Read, Part::Keys(&prefix))
            .await?;
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let page = match (after, &delimiter) {
            (None, _) => Page::Start,
            (Some(after), Some(delimiter)) if after.ends_with(delimiter.as_str()) => {
                Page::AfterPrefix(after)
            }
            (Some(after), _) => Page::After(after),
        };
        let request = ListingRequest {
            bucket,
            prefix,
            delimiter,
            page,
            limit: limit.clamp(1, LINES_MAX) as usize,
        };
        let read = admitted
            .service
            .read(move |connection| query::object_list(connection, &request));
        let listed = read.await?;
        let next = listed.next.map(|next| match next {
            Page::Start => String::new(),
            Page::After(key) | Page::AfterPrefix(key) | Page::Within { key, .. } => key,
        });
        Ok(ObjectsListed {
            objects: listed.items.into_iter().map(view_of).collect(),
            prefixes: listed.prefixes,
            next,
        })
    }

    pub(super) async fn on_copy(&self, copy: ObjectCopy) -> Result<ObjectCommitted, Problem> {
        let ObjectCopy {
            bucket,
            key,
            from_bucket,
            from_key,
        } = copy;
        let from = self
            .admit(from_bucket, Operation::Read, Part::Keys(&from_key))
            .await?;
        let to = self
            .admit(bucket, Operation::Write, Part::Keys(&key))
            .await?;
        let read_key = object_key(&from_key)?;
        let read = from.service.read(move |connection| {
            query::object_version(connection, from_bucket, &read_key, VersionChoice::Current)
        });
        let source = read.await?.filter(|found| !found.is_marker);
        let mut source = source.ok_or_else(|| absent(&from_key))?;
        readable(&source)?;
        source.head.headers.retain(|name, _| !is_own_header(name));
        let target = DataTarget {
            bucket,
            version: VersionId::generate(),
            redundancy: to.bucket.bucket.redundancy,
            losses: to.bucket.bucket.losses_allowed,
        };
        let cargo = Cargo::new(
            Some(&to.claims.sub),
            &to.bucket.bucket,
            &key,
            TransferDirection::Copy,
        );
        let running = self.se.goods.transfers.begin(
            TransferId::generate(),
            cargo,
            TransferDoor::Sdk,
            Some(source.size),
            None,
        )?;
        let copying = copied(&to.service, source, target, object_key(&key)?, &running);
        let copied = running.run(Box::pin(copying)).await.flatten();
        match &copied {
            Ok(_) => running.finish(),
            Err(problem) => running.fail(problem.code, problem.detail.clone()),
        }
        copied
    }

    pub(super) async fn on_fault(&self, fault: &BlockFault) -> Result<(), Problem> {
        let admitted = self
            .admit(fault.bucket, Operation::Read, Part::Some)
            .await?;
        admitted.service.data().suspect(Damage {
            stripe: fault.stripe,
            position: fault.position,
            host: fault.host,
        });
        Ok(())
    }
}

/// Writes the bytes of one object as another one.
async fn copied(
    service: &std::sync::Arc<Service>,
    source: ObjectVersion,
    target: DataTarget,
    key: ObjectKey,
    running: &Running,
) -> Result<ObjectCommitted, Problem> {
    let (size, head, etag) = (source.size, source.head.clone(), source.etag.clone());
    let mut reader: DataReader = service.read_data(source, 0..size);
    let mut writer: DataWriter = service.write_data(target);
    while let Some(piece) = reader.next().await {
        let piece = piece?;
        running.count(piece.len());
        writer.push(piece).await?;
    }
    let stripes = writer.finish().await?;
    if let Err(problem) = running.committing() {
        service.data().discard(&stripes).await;
        return Err(problem);
    }
    let put = ObjectPut {
        bucket: target.bucket,
        key,
        version: target.version,
        size,
        etag: etag.clone(),
        head,
        retention: None,
        legal_hold: false,
        stripes: stripes.clone(),
        condition: Condition::default(),
    };
    let committed = service
        .commit_data(Change::ObjectPut(put), &stripes)
        .await?;
    let version = match committed.applied {
        Applied::Version(outcome) => outcome.version,
        Applied::Done => target.version,
    };
    Ok(ObjectCommitted { version, etag })
}

fn absent(key: &str) -> Problem {
    Problem::new(Code::NotFound, format!("There is no object {key:?}."))
}

/// Refuses what programs could not make sense of: its key never leaves the Element.
fn readable(object: &ObjectVersion) -> Result<(), Problem> {
    if !is_encrypted(&object.head) {
        return Ok(());
    }
    Err(Problem::new(
        Code::Encrypted,
        format!(
            "The object {:?} was encrypted when it was put through the S3 door: read or copy it \
             there.",
            object.key.as_str()
        ),
    ))
}

fn view_of(mut object: ObjectVersion) -> ObjectView {
    object.head.headers.retain(|name, _| !is_own_header(name));
    ObjectView {
        key: object.key.as_str().to_owned(),
        version: object.id,
        size: object.size,
        etag: object.etag,
        modified: object.created.to_offset_date_time(),
        head: ObjectHeaders {
            headers: object.head.headers,
            metadata: object.head.metadata,
        },
        blocks_missing: None,
    }
}

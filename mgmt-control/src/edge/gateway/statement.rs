//! Statements of the console's editor.

use std::time::Instant;

use actix_web::{
    HttpResponse, post,
    web::{Data, Json, Path, Payload},
};
use bytes::Bytes;
use futures_util::stream;
use gridmart_schemas::{
    api::statement::{StatementColumn, StatementRead, StatementRequest, StatementResult},
    data::Row,
    wire::data::{ReadFrom, STATEMENT_BYTES_MAX},
};
use gridmart_sdk::{Data as Databases, Error, Rows};

use super::{read_json, turn};
use crate::{
    app::Control,
    edge::{
        answer::{Refusal, Refusals},
        authorization::{self as allow, Allowed},
    },
    gateway,
};

/// Rows that are told if nothing is said, and the most.
const ROWS: (u32, u32) = (1_000, 10_000);
/// Bytes of values that are told at most; what is more is for the download.
const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A body: a statement, whose characters JSON may write as six.
const BODY_BYTES_MAX: usize = STATEMENT_BYTES_MAX * 6 + 1024;

/// Runs a statement as the person of the session, with all rules that hold for them.
#[utoipa::path(tag = "console", security(("session" = [])), request_body = StatementRequest,
    params(("name" = String, Path)),
    responses((status = 200, body = StatementResult), Refusals))]
#[post("/api/v1/console/databases/{name}/statements")]
pub(in crate::edge) async fn statement_run(
    allowed: Allowed<allow::StatementRun>,
    control: Data<Control>,
    name: Path<String>,
    body: Payload,
) -> Result<Json<StatementResult>, Refusal> {
    let wanted: StatementRequest = read_json(body, BODY_BYTES_MAX).await?;
    let turn = turn(&control, &allowed)?;
    let (data, most) = (data(&turn.client, wanted.read), rows_max(&wanted));
    let running = async move {
        let began = Instant::now();
        let rows = data.query(&name, &wanted.text, &[]).await?;
        result(rows, most, began).await
    };
    Ok(Json(control.gateway.run(running).await?))
}

/// Runs a statement, and gives its rows as CSV (RFC 4180), all of them.
#[utoipa::path(tag = "console", security(("session" = [])), request_body = StatementRequest,
    params(("name" = String, Path)),
    responses((status = 200, description = "The rows", body = String, content_type = "text/csv"), Refusals))]
#[post("/api/v1/console/databases/{name}/statements/csv")]
pub(in crate::edge) async fn statement_csv(
    allowed: Allowed<allow::StatementCsv>,
    control: Data<Control>,
    name: Path<String>,
    body: Payload,
) -> Result<HttpResponse, Refusal> {
    let wanted: StatementRequest = read_json(body, BODY_BYTES_MAX).await?;
    let turn = turn(&control, &allowed)?;
    let data = data(&turn.client, wanted.read);
    let rows = async move { data.query(&name, &wanted.text, &[]).await };
    let rows = control.gateway.run(rows).await?;
    let head: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| csv_cell(&column.name))
        .collect();
    let head = Bytes::from(head.join(",") + "\r\n");
    let lines = stream::try_unfold(
        (Some(head), rows, turn),
        |(head, mut rows, turn)| async move {
            if let Some(head) = head {
                return Ok(Some((head, (None, rows, turn))));
            }
            let more = rows.next().await.map_err(std::io::Error::other)?;
            Ok(more.map(|piece| (csv(&piece), (None, rows, turn))))
        },
    );
    let pieces = gateway::body(control.gateway.runtime(), lines);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header(("content-disposition", "attachment; filename=\"result.csv\""))
        .streaming(pieces))
}

fn data(client: &gridmart_sdk::Client, read: StatementRead) -> Databases {
    client.data().reading(match read {
        StatementRead::Fresh => ReadFrom::Fresh,
        StatementRead::Core => ReadFrom::Core,
        StatementRead::Shadow => ReadFrom::Shadow,
    })
}

fn rows_max(wanted: &StatementRequest) -> usize {
    let (usual, most) = ROWS;
    wanted.rows_max.unwrap_or(usual).min(most) as usize
}

async fn result(mut rows: Rows, most: usize, began: Instant) -> Result<StatementResult, Error> {
    let (mut told, mut bytes, mut is_cut) = (Vec::new(), 0, false);
    'pieces: while let Some(piece) = rows.next().await? {
        for row in piece {
            if told.len() == most || bytes > RESULT_BYTES_MAX {
                is_cut = true;
                break 'pieces;
            }
            let row: Vec<_> = row
                .iter()
                .map(gridmart_schemas::data::Value::shown)
                .collect();
            bytes += row.iter().flatten().map(String::len).sum::<usize>();
            told.push(row);
        }
    }
    let executed = rows.executed();
    let columns = rows.columns().iter().map(|column| StatementColumn {
        name: column.name.clone(),
        sql_type: column.sql_type.to_string(),
    });
    Ok(StatementResult {
        tag: executed.tag,
        rows_changed: executed.rows_changed,
        columns: columns.collect(),
        rows: told,
        is_cut,
        host: executed.ran_on.map(|(host, _)| host),
        role: executed.ran_on.map(|(_, role)| role.to_string()),
        duration_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
    })
}

fn csv(rows: &[Row]) -> Bytes {
    let mut text = String::new();
    for row in rows {
        // NULL is empty, an empty text is not.
        let cells = row.iter().map(|value| {
            value
                .shown()
                .map_or_else(String::new, |text| csv_cell(&text))
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    }
    text.into()
}

fn csv_cell(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if is_plain {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

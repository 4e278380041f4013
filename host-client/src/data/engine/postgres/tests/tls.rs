//! A server that is reached over TLS.

use super::*;
use crate::data::engine::TransactionLimits;

fn percent(path: &std::path::Path) -> String {
    path.display().to_string().replace('/', "%2F")
}

#[tokio::test]
async fn a_server_is_reached_over_tls_by_its_name_and_the_certificate_that_was_named() {
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (own, others) = (made("localhost"), made("localhost"));
    let server = PostgresServer::start_with_account();
    server.crash();
    let port = server.resume_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        percent(&path)
    };
    let (own, others) = (put("own", own.cert.pem()), put("others", others.cert.pem()));
    let pg = |host: &str, roots: &str| {
        let url = format!("postgresql://gridmart:hunter2@{host}:{port}?sslrootcert={roots}");
        PgServer::new(&ServerUrl::read(&url).unwrap()).unwrap()
    };
    for (host, roots) in [("localhost", &others), ("127.0.0.1", &own)] {
        let refused = pg(host, roots).has("postgres").await.unwrap_err();
        assert!(
            matches!(refused, EngineError::Unreachable { .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
    let database = DatabaseId::generate();
    let home = Home::open(&folder.path().join("home")).unwrap();
    let notes = home.create(*database.as_uuid(), Role::Core).unwrap();
    let pg = pg("localhost", &own);
    pg.probe().await.unwrap();
    pg.make(database).await.unwrap();
    let core = pg.open(database, &notes, LogBounds::default()).unwrap();
    let limits = Limits::default();
    let create = schema("CREATE TABLE t (id integer PRIMARY KEY)");
    core.write(create, limits).await.unwrap();
    core.write(rows("INSERT INTO t SELECT generate_series(1, 300)"), limits)
        .await
        .unwrap();
    let asked =
        "SELECT count(*) FROM t, pg_catalog.pg_stat_ssl s WHERE s.pid = pg_backend_pid() AND s.ssl";
    let told = core.read(reading(asked), limits).await.unwrap();
    assert_eq!(told.collect().await.unwrap(), [[Value::Int8(300)]]);
    // What ends a statement comes over TLS as well.
    let brief = Limits {
        time: Duration::from_millis(300),
        ..limits
    };
    let mut transaction = core.begin(TransactionLimits::default()).await.unwrap();
    let endless = reading("SELECT count(*) FROM t a, t b, t c, t d, t e, t f");
    let ended = transaction.run(endless, brief).await.unwrap_err();
    assert!(matches!(ended, EngineError::TimedOut(_)), "{ended}");
    transaction.rollback().await.unwrap();
}

#[test]
fn a_server_elsewhere_is_reached_over_tls_alone() {
    let refused = |url: &str| {
        let refused = PgServer::new(&ServerUrl::read(url).unwrap());
        refused.err().expect("it is refused")
    };
    let elsewhere = refused("postgresql://a:hunter2@db.example:5432");
    assert!(elsewhere.contains("sslrootcert"), "{elsewhere}");
    let socket = refused("postgresql://a:hunter2@%2Ftmp?sslrootcert=/etc/hostname");
    assert!(!socket.contains("hunter2"), "{socket}");
    let missing = refused("postgresql://a:hunter2@db.example?sslrootcert=/none/ca.pem");
    assert!(missing.contains("/none/ca.pem"), "{missing}");
}

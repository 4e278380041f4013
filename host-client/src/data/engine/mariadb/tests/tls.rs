//! A server that is reached over TLS.

use super::*;

#[tokio::test]
async fn a_server_is_reached_over_tls_by_its_name_and_the_certificate_that_was_named() {
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (own, others) = (made("localhost"), made("localhost"));
    let server = MariaDbServer::start();
    server.crash();
    let port = server.resume_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (own, others) = (put("own", own.cert.pem()), put("others", others.cert.pem()));
    let maria = |host: &str, roots: &str| {
        let url = format!("mariadb://gridmart:pass%40word@{host}:{port}/?sslrootcert={roots}");
        MariaServer::new(&ServerUrl::read(&url).unwrap()).unwrap()
    };
    let database = DatabaseId::generate();
    for (host, roots) in [("localhost", &others), ("127.0.0.1", &own)] {
        let refused = maria(host, roots).make(database).await.unwrap_err();
        assert!(
            matches!(refused, EngineError::Unreachable { .. }),
            "{refused}"
        );
    }
    let home = Home::open(&folder.path().join("home")).unwrap();
    let notes = home.create(*database.as_uuid(), Role::Core).unwrap();
    let maria = maria("localhost", &own);
    maria.probe().await.unwrap();
    maria.make(database).await.unwrap();
    let core = maria.open(database, &notes, LogBounds::default()).unwrap();
    let limits = Limits::default();
    core.write(schema(TABLE), limits).await.unwrap();
    core.write(rows("INSERT INTO \"t\" VALUES (1, 'x')"), limits)
        .await
        .unwrap();
    let asked = "SELECT VARIABLE_VALUE <> '' FROM information_schema.session_status \
        WHERE VARIABLE_NAME = 'Ssl_cipher'";
    let told = core.read(reading(asked).giving(vec![SqlType::Int4]), limits);
    assert_eq!(
        told.await.unwrap().collect().await.unwrap(),
        [[Value::Int4(1)]]
    );
}

#[test]
fn a_server_elsewhere_is_reached_over_tls_alone() {
    let refused = |url: &str| {
        let refused = MariaServer::new(&ServerUrl::read(url).unwrap());
        refused.err().expect("it is refused")
    };
    let elsewhere = refused("mariadb://a:hunter2@db.example:3306");
    assert!(elsewhere.contains("sslrootcert"), "{elsewhere}");
    let missing = refused("mariadb://a:hunter2@db.example?sslrootcert=/none/ca.pem");
    assert!(missing.contains("/none/ca.pem"), "{missing}");
    assert!(!missing.contains("hunter2"), "{missing}");
}

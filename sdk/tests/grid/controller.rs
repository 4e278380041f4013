//! A controller's people's door, as far as the SDK asks it to run things.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use gridmart_sdk::schemas::{
    api::{
        access::{AccessDecision, ApplicationAccess, ElementAccess},
        bucket::{BucketAccess, BucketAccessRequest},
        explain::Explanation,
    },
    id::{Digest, RequestId},
    problem::{Code, Problem},
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::nodes::Site;

pub(crate) struct Controller {
    pub(crate) url: String,
    root: String,
    pub(crate) elements: Mutex<Vec<ElementAccess>>,
    pub(crate) application: Mutex<ApplicationAccess>,
    pub(crate) questions: AtomicU32,
    pub(crate) expires_in: AtomicU32,
    /// What it says to whoever asks for access, if nobody gets any.
    pub(crate) refusal: Mutex<Option<Problem>>,
    /// The bucket, and where it is.
    pub(crate) bucket: Mutex<Option<(BucketAccess, ElementAccess)>>,
    /// What it permits with it.
    pub(crate) bucket_operations: Mutex<Vec<String>>,
    /// Answers about logs; the last is told first.
    pub(crate) logs: Mutex<Vec<serde_json::Value>>,
    /// Answers nothing any more.
    pub(crate) away: AtomicBool,
}

impl Controller {
    pub(crate) async fn start(site: &Site, elements: Vec<ElementAccess>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let application = ApplicationAccess {
            name: "app".to_owned(),
            version: "1.0".to_owned(),
            digest: Digest::from_blake3([7; 32]),
            retryable: true,
            attempts_max: 3,
            has_split: true,
            has_merge: true,
        };
        let controller = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            root: site.authority.root_pem().to_owned(),
            elements: Mutex::new(elements),
            application: Mutex::new(application),
            questions: AtomicU32::new(0),
            expires_in: AtomicU32::new(300),
            bucket: Mutex::default(),
            bucket_operations: Mutex::new(vec!["read".to_owned(), "write".to_owned()]),
            logs: Mutex::default(),
            refusal: Mutex::default(),
            away: AtomicBool::new(false),
        });
        let serving = Arc::clone(&controller);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).answer(stream));
            }
        });
        controller
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        if self.away.load(Ordering::SeqCst) {
            return;
        }
        let mut request = Vec::new();
        let head_end = loop {
            if let Some(at) = request.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            })
            .unwrap_or(0);
        while request.len() < head_end + length {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let (status, body) = self.route(&head, &request[head_end..]);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        // What is left of the request is read, so that the answer is not cut.
        let _ = stream.shutdown().await;
        while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {
            request.clear();
        }
    }

    fn route(&self, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let json = |value: serde_json::Value| (200, serde_json::to_vec(&value).unwrap());
        if head.starts_with("GET /api/v1/authority ") {
            (200, self.root.clone().into_bytes())
        } else if head.starts_with("POST /api/v1/access/applications ") {
            self.questions.fetch_add(1, Ordering::SeqCst);
            if let Some(problem) = &*self.refusal.lock() {
                return (problem.status, serde_json::to_vec(problem).unwrap());
            }
            (200, serde_json::to_vec(&self.decision()).unwrap())
        } else if head.starts_with("POST /api/v1/access/buckets ") {
            match self.bucket_decision(&serde_json::from_slice(body).unwrap()) {
                Ok(decision) => (200, serde_json::to_vec(&decision).unwrap()),
                Err(problem) => (problem.status, serde_json::to_vec(&problem).unwrap()),
            }
        } else if head.starts_with("POST /api/v1/applications ") {
            json(serde_json::json!({"created": true, "application": self.shelved(body)}))
        } else if head.starts_with("GET /api/v1/applications/app/logs") {
            json(self.logs.lock().pop().unwrap_or_default())
        } else {
            let problem = Problem::new(Code::NotFound, "the simulated controller has only calls");
            (404, serde_json::to_vec(&problem).unwrap())
        }
    }

    /// Tickets have numbers, and name what they permit.
    fn bucket_decision(&self, request: &BucketAccessRequest) -> Result<AccessDecision, Problem> {
        let permitted = self.bucket_operations.lock().clone();
        let wanted: Vec<String> = request.operations.iter().map(ToString::to_string).collect();
        if !wanted.iter().all(|operation| permitted.contains(operation)) {
            return Err(Problem::new(Code::NotAuthorized, "You may not."));
        }
        let number = self.questions.fetch_add(1, Ordering::SeqCst) + 1;
        let (bucket, mut element) = self.bucket.lock().clone().unwrap();
        element.ticket = format!("{number}:{}", wanted.join("+"));
        Ok(AccessDecision {
            application: None,
            bucket: Some(bucket),
            elements: vec![element],
            ..self.decision()
        })
    }

    fn shelved(&self, package: &[u8]) -> serde_json::Value {
        let application = self.application.lock();
        serde_json::json!({
            "name": application.name, "version": application.version, "kind": "task", "capabilities": [],
            "digest": Digest::from_blake3(blake3::hash(package).into()), "size": package.len(),
            "owner": "ada", "uploaded": "2026-01-01T00:00:00Z", "default": true, "deployments": [],
            "wish": {"desired": "production", "generation": 0, "cut_epoch": 0},
        })
    }

    fn decision(&self) -> AccessDecision {
        AccessDecision {
            request_id: RequestId::generate(),
            application: Some(self.application.lock().clone()),
            bucket: None,
            database: None,
            elements: self.elements.lock().clone(),
            expires_in: self.expires_in.load(Ordering::SeqCst),
            explanation: Explanation {
                question: String::new(),
                outcome: String::new(),
                candidates: Vec::new(),
            },
        }
    }
}

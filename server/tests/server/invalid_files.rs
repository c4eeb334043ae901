//! Files that can't be uploaded: the answer says where and why, nothing is
//! stored, and the server keeps working.

use crate::support::start_server;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use std::fmt::Write as _;
use testbed::ServerProcess;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const UPLOAD: &str = "/api/v1/jobs/product-uploads?channels=acme,bazaar,corner,depot";
/// Size of a body that is far too large, in bytes: eight times what a file may have. A slow
/// machine, too, can send it within the 30 s for which the server drains a body.
const OVERSIZED_BYTES: usize = 256 << 20;

/// Returns invalid files, each with the words that its error message must
/// contain.
fn invalid_files() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let rows = |rows: &str| format!("sku,title,price\n{rows}").into_bytes();
    let long = "x".repeat(1 << 20);
    vec![
        ("empty", Vec::new(), vec!["empty"]),
        ("blank", b"\n\n  \n".to_vec(), vec!["empty"]),
        ("binary", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\xff\xfe".to_vec(), vec!["CSV"]),
        ("a spreadsheet", b"PK\x03\x04\x14\0\x06\0\x08\0".to_vec(), vec!["CSV"]),
        ("a NUL", rows("A-1,La\0mp,19.90\n"), vec!["line 2"]),
        ("header only", rows(""), vec!["header"]),
        ("no table", b"Dear Sir\nplease find enclosed\n".to_vec(), vec!["sku"]),
        ("two of a SKU", rows("A-1,Lamp,19.90\nA-1,Chair,1\n"), vec!["line 3", "sku", "A-1"]),
        ("a negative price", rows("A-1,Lamp,-3\n"), vec!["line 2", "price", "negative"]),
        ("no price", rows("A-1,Lamp,\n"), vec!["line 2", "price", "missing"]),
        ("a price in words", rows("A-1,Lamp,twelve\n"), vec!["line 2", "price", "not a number"]),
        ("a cell of 1 MB", rows(&format!("A-1,{long},1\n")), vec!["line 2", "title"]),
        ("quotes left open", rows("A-1,Lamp,1\nA-2,\"Chair,1\n"), vec!["line 3", "quote"]),
        ("too few cells", rows("A-1,Lamp\n"), vec!["line 2"]),
    ]
}

#[tokio::test]
async fn invalid_files_are_rejected_with_line_column_and_reason() {
    let meanwhile = start_server().await;
    for (name, bytes, words) in invalid_files() {
        let response = meanwhile.api.post(UPLOAD).body(bytes.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap().to_lowercase();
        for word in words.iter().map(|word| word.to_lowercase()) {
            assert!(detail.contains(&word), "{name}: {detail:?} lacks {word:?}");
        }
        // A dry run lists bad rows. A file that can't be read at all is a problem.
        let dry = meanwhile.api.post(&format!("{UPLOAD}&dry_run=true")).body(bytes.clone());
        let dry = dry.send().await.unwrap();
        let (status, answer): (_, Value) = (dry.status(), dry.json().await.unwrap());
        let has_bad_rows = answer["bad_row_count"].as_u64().is_some_and(|bad| bad > 0);
        assert!(has_bad_rows || status == StatusCode::UNPROCESSABLE_ENTITY, "{name}: {answer}");
    }
    let unknown = "/api/v1/jobs/product-uploads?channels=acme,nowhere";
    let response = meanwhile.api.post(unknown).body("sku,title,price\nA-1,Lamp,1\n");
    let response = response.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = response.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("nowhere") && detail.contains("corner"), "{detail}");
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}

fn multipart_form(bytes: &[u8], channels: &[&str]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for channel in channels {
        let part = format!(
            "--b\r\nContent-Disposition: form-data; name=\"channels\"\r\n\r\n{channel}\r\n"
        );
        body.extend(part.into_bytes());
    }
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n";
    body.extend(file.as_bytes());
    body.extend(bytes);
    body.extend(b"\r\n--b--\r\n");
    ("multipart/form-data; boundary=b".into(), body)
}

#[tokio::test]
async fn form_shows_invalid_rows_and_stores_nothing() {
    let meanwhile = start_server().await;
    for (name, bytes, words) in invalid_files() {
        for path in ["/launch/upload", "/launch/check"] {
            let (media_type, body) = multipart_form(&bytes, &["acme"]);
            let request =
                meanwhile.api.post(path).header(header::CONTENT_TYPE, media_type).body(body);
            let response = request.send().await.unwrap();
            let is_preview = path.ends_with("check");
            let expected = if is_preview { 200 } else { 422 };
            assert_eq!(response.status().as_u16(), expected, "{name} to {path}");
            let page = response.text().await.unwrap();
            let text = page.to_lowercase();
            // Columns that say nothing are a question, everything else is a problem.
            let is_question = page.contains("open-question");
            assert_eq!(is_question, name == "no header of ours", "{name}: {page}");
            assert!(is_question || page.contains("data-testid=\"problem\""), "{name}: {page}");
            // The page shows line and column in the cells of a table.
            for word in words.iter().filter(|word| !word.starts_with("line") && **word != "A-1") {
                assert!(
                    text.contains(&word.to_lowercase()),
                    "{name} to {path}: the page lacks {word:?}"
                );
            }
        }
    }
    let (media_type, body) = multipart_form(b"sku,title,price\nA-1,Lamp,1\n", &["acme", "nowhere"]);
    let unknown = meanwhile.api.post("/launch/upload").header(header::CONTENT_TYPE, media_type);
    let response = unknown.body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(response.text().await.unwrap().contains("nowhere"));
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}

#[tokio::test]
async fn file_contents_are_not_rendered_as_markup() {
    let meanwhile = start_server().await;
    let evil = "sku,title,price\n<script>alert(1)</script>,\"<img src=x onerror=alert(2)>\",1\n\
                A-2,Lamp,<b>\n";
    let (media_type, body) = multipart_form(evil.as_bytes(), &["acme"]);
    let request = meanwhile.api.post("/launch/check").header(header::CONTENT_TYPE, media_type);
    let page = request.body(body).send().await.unwrap().text().await.unwrap();
    let content = hex::encode(evil);
    assert!(page.contains(&content), "the form does not contain the file");
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "{page}");
}

/// Returns the server's peak and current resident memory in MiB.
fn memory_mib(meanwhile: &ServerProcess) -> (u64, u64) {
    let usage = meanwhile.memory_usage().unwrap();
    (usage.peak >> 20, usage.current >> 20)
}

/// Sends a file of [`OVERSIZED_BYTES`] as a browser does, completely before it reads the
/// answer, and returns the answer.
async fn send_oversized(
    meanwhile: &ServerProcess,
    path: &str,
    form: bool,
    chunked: bool,
) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", meanwhile.api.port)).await.unwrap();
    let start = if form {
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n"
    } else {
        "sku,title,price\n"
    };
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
         Cookie: {}\r\nContent-Type: {}\r\n",
        meanwhile.api.cookie,
        if form { "multipart/form-data; boundary=b" } else { "text/csv" },
        port = meanwhile.api.port,
    );
    let length = start.len() + OVERSIZED_BYTES;
    match chunked {
        true => write!(head, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n", start.len()),
        false => write!(head, "Content-Length: {length}\r\n\r\n{start}"),
    }
    .unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = b"A-1,Lamp,19.90\n".repeat(1 << 16);
    let mut sent = 0;
    while sent < OVERSIZED_BYTES {
        let piece = &piece[..piece.len().min(OVERSIZED_BYTES - sent)];
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        }
        stream.write_all(piece).await.expect("the connection closed before the last byte");
        if chunked {
            stream.write_all(b"\r\n").await.unwrap();
        }
        sent += piece.len();
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn oversized_upload_is_rejected_without_growing_memory() {
    let meanwhile = start_server().await;
    let before = memory_mib(&meanwhile).1;
    for (path, form) in [(UPLOAD, false), ("/launch/upload", true), ("/launch/check", true)] {
        let answer = send_oversized(&meanwhile, path, form, false).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(answer.contains("A file may have up to 32 MiB. Split it."), "{path}: {answer}");
    }
    let (peak, after) = memory_mib(&meanwhile);
    eprintln!("MiB before {before}, after {after}, peak {peak}");
    assert!(peak < before + 40, "MiB before {before}, after {after}, peak {peak}");
    // Without a Content-Length the limit is reached while reading, so the
    // server may use the memory of one file.
    for (path, form) in [(UPLOAD, false), ("/launch/upload", true)] {
        let answer = send_oversized(&meanwhile, path, form, true).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(answer.contains("A file may have up to 32 MiB. Split it."), "{path}: {answer}");
    }
    let (peak, after) = memory_mib(&meanwhile);
    eprintln!("MiB before {before}, after {after}, peak {peak}");
    assert!(peak < before + 160, "MiB before {before}, after {after}, peak {peak}");
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}

#[tokio::test]
async fn invalid_input_is_rejected_with_its_reason() {
    let meanwhile = start_server().await;
    for (body, words) in [
        (Vec::new(), "empty"),
        (b"sku,title,price\nA,Lamp,x\n".to_vec(), "line 2"),
        (b"sku,title,price\nA,Lamp,-3\n".to_vec(), "negative"),
        (b"PK\x03\x04\0\0".to_vec(), "CSV"),
    ] {
        let response = meanwhile.api.post(UPLOAD).body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail:?} lacks {words:?}");
    }
    let unknown = meanwhile.api.post("/api/v1/jobs/product-uploads?channels=nowhere");
    let unknown = unknown.body("sku,title,price\nA,Lamp,1\n");
    assert_eq!(unknown.send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    let huge = meanwhile.api.post(UPLOAD).body(vec![b'a'; 33 * 1024 * 1024]);
    assert_eq!(huge.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}

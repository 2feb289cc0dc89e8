//! Which cluster is chosen, and what a request looks like on a real socket.

use std::io::Write as _;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

fn mk_kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: \"{server}\"}}}}]
users: [{{name: u, user: {{token: secret}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"
    )
    .unwrap();
    file
}

#[tokio::test]
async fn flag_wins_over_the_environment() {
    let file = mk_kubeconfig("http://127.0.0.1:1");
    let elsewhere = Some(PathBuf::from("/nonexistent"));
    let config = config(Some(file.path()), elsewhere).await.unwrap();
    assert_eq!(config.cluster_url, "http://127.0.0.1:1");
}

#[tokio::test]
async fn file_that_was_asked_for_and_does_not_work_is_named() {
    let error = config(Some(Path::new("/nonexistent/config")), None).await.unwrap_err();
    assert!(error.to_string().starts_with("kubeconfig /nonexistent/config: "), "{error}");
}

#[tokio::test]
async fn request_names_us_and_carries_the_token() {
    install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = mk_kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = r#"{"metadata":{"name":"team"}}"#;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let client = connect(Some(file.path())).await.unwrap();
    let team = Api::<Namespace>::all(client).get("team").await.unwrap();
    assert_eq!(team.metadata.name.as_deref(), Some("team"));
    let request = server.await.unwrap().to_lowercase();
    assert!(request.starts_with("get /api/v1/namespaces/team http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("user-agent: {AGENT}\r\n")), "{request}");
    assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
}

#[tokio::test]
async fn server_that_is_away_is_no_error_before_the_first_request() {
    install_crypto();
    let file = mk_kubeconfig("http://127.0.0.1:1");
    assert!(connect(Some(file.path())).await.is_ok());
}

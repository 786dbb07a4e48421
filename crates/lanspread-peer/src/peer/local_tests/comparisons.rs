//! Comparisons of what is here with what was recorded.

use super::*;

#[tokio::test]
async fn a_comparison_names_every_difference() {
    let (machine, peer) = installed().await;
    let told = Told::by(&peer);
    verify(&peer).await.unwrap();
    let totals = small_game::totals();
    assert_eq!(told.all(), [format!("compared {} {} 0 0", totals.files, totals.bytes)]);

    let tree = local(&machine);
    let mut content = small_game::FIRST_CONTENT.to_vec();
    content[7] ^= 0x20;
    fs::write(tree.join(small_game::FIRST_FILE), content).unwrap();
    fs::write(tree.join(small_game::EMPTY_FILE), "longer").unwrap();
    fs::remove_file(tree.join(small_game::COPY)).unwrap();
    symlink("one.bin", tree.join(small_game::COPY)).unwrap();
    fs::write(tree.join("saves/slot1"), "mine").unwrap();
    let before = machine.everything();
    let told = Told::by(&peer);
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::Differences { differences: 3, .. })), "{error:?}");
    assert_eq!(error.category(), ErrorCategory::Content);
    let bytes = small_game::FIRST_CONTENT.len() + small_game::LAST_CONTENT.len();
    let expected = [
        "local data/one.bin content",
        "local data/two.bin added",
        "local data/zero size",
        "local saves/slot1 added",
        "local data/two.bin missing",
        &format!("compared 4 {bytes} 3 2"),
    ];
    assert_eq!(told.all(), expected);
    assert_eq!(machine.everything(), before, "nothing is repaired");
}

#[tokio::test]
async fn added_files_are_not_differences() {
    let (machine, peer) = installed().await;
    fs::write(local(&machine).join("saves/slot1"), "mine").unwrap();
    verify(&peer).await.unwrap();
}

#[tokio::test]
async fn a_torn_receipt_cannot_be_compared_with() {
    let (machine, peer) = installed().await;
    let receipt = machine.games_dir().join(".lanspread/receipts/small.jsonl");
    let whole = fs::read(&receipt).unwrap();
    fs::write(&receipt, &whole[..whole.len() - 5]).unwrap();
    let error = verify(&peer).await.unwrap_err();
    assert!(matches!(error, PeerError::Store(StoreError::NotVerifiable { .. })), "{error:?}");
    assert!(error.to_string().contains("line 6"), "{error}");
}
